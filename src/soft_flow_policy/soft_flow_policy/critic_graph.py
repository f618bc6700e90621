"""What the critic of a checkpoint, an ONNX graph, has to be: checked before any runtime sees it.

ONNX cannot run code of its own, with two exceptions that are refused here: operators of a custom domain,
which need libraries, and external data, which reads files beside the graph.

Inputs: proprioception (1, P) float32, chunks (N, T, A) float32 in contract space with any N, and
image_<camera> (1, H, W, 3) uint8 for the cameras that it looks at. Output: values (N,) float32.
"""

from collections.abc import Iterator

import onnx
from onnx import AttributeProto, GraphProto, NodeProto, TensorProto, ValueInfoProto

from soft_flow_contract.errors import ContractError
from soft_flow_contract.task_specification import TaskSpecification

STANDARD_DOMAINS = {"", "ai.onnx"}
Signature = tuple[int, tuple[int | None, ...]]  # element type and shape; None is any size


class CriticGraphError(ContractError):
    """A critic's graph cannot be used; the message names the operator, tensor or input."""


def _subgraphs(node: NodeProto) -> Iterator[GraphProto]:
    for attribute in node.attribute:
        if attribute.type == AttributeProto.GRAPH:
            yield attribute.g
        yield from attribute.graphs


def _graphs(graph: GraphProto) -> Iterator[GraphProto]:
    """Yield a graph and those inside its operators (If, Loop, Scan)."""
    yield graph
    for node in graph.node:
        for inner in _subgraphs(node):
            yield from _graphs(inner)


def _tensors(graph: GraphProto) -> Iterator[TensorProto]:
    """Yield every tensor that a graph holds, its subgraphs' not included."""
    yield from graph.initializer
    for sparse in graph.sparse_initializer:
        yield from (sparse.values, sparse.indices)
    for node in graph.node:
        for attribute in node.attribute:
            if attribute.type == AttributeProto.TENSOR:
                yield attribute.t
            yield from attribute.tensors
            for sparse in (attribute.sparse_tensor, *attribute.sparse_tensors):
                yield from (sparse.values, sparse.indices)


def _require_harmless(model: onnx.ModelProto) -> None:
    domains = {item.domain for item in model.opset_import} | {item.domain for item in model.functions}
    for graph in _graphs(model.graph):
        domains |= {node.domain for node in graph.node}
        for tensor in _tensors(graph):
            if tensor.data_location == TensorProto.EXTERNAL or tensor.external_data:
                raise CriticGraphError(
                    f"tensor '{tensor.name}' has external data; export the critic into one file"
                )
    custom = sorted(domains - STANDARD_DOMAINS)
    if custom or model.functions:
        raise CriticGraphError(
            f"operator domains {custom or ['functions of its own']} are custom; "
            "export the critic with standard ONNX operators only"
        )


def _signature(item: ValueInfoProto) -> Signature:
    tensor = item.type.tensor_type
    sizes = (dim.dim_value if dim.HasField("dim_value") else None for dim in tensor.shape.dim)
    return tensor.elem_type, tuple(sizes)


def _describe(signature: Signature) -> str:
    return f"{TensorProto.DataType.Name(signature[0])} of shape {signature[1]}"


def _require_inputs(graph: GraphProto, specification: TaskSpecification) -> None:
    length, dimension = specification.chunk.length, specification.action_dimension
    expected: dict[str, Signature] = {
        "proprioception": (TensorProto.FLOAT, (1, specification.proprioception_dimension)),
        "chunks": (TensorProto.FLOAT, (None, length, dimension)),
    }
    for camera in specification.observation.cameras:
        expected[f"image_{camera.name}"] = (TensorProto.UINT8, (1, camera.height, camera.width, 3))
    # Older graphs list their weights among the inputs too.
    weights = {item.name for item in graph.initializer}
    inputs = {item.name: _signature(item) for item in graph.input if item.name not in weights}
    for name in ("proprioception", "chunks"):
        if name not in inputs:
            raise CriticGraphError(f"input '{name}' is missing; it has {sorted(inputs)}")
    for name, signature in inputs.items():
        if name not in expected:
            raise CriticGraphError(f"input '{name}' is unknown; the task offers {sorted(expected)}")
        if signature != expected[name]:
            raise CriticGraphError(
                f"input '{name}': expected {_describe(expected[name])} (None: any size), "
                f"got {_describe(signature)}"
            )


def camera_inputs(model: onnx.ModelProto, specification: TaskSpecification) -> tuple[str, ...]:
    """Names of the cameras that a critic looks at, in the specification's order."""
    inputs = {item.name for item in model.graph.input}
    return tuple(name for name in specification.camera_names if f"image_{name}" in inputs)


def read_critic_graph(data: bytes, specification: TaskSpecification) -> onnx.ModelProto:
    """Parse a critic's graph, after checking that it is harmless and fits the task.

    Raises:
        CriticGraphError: no valid ONNX, a custom operator domain, external data, or inputs and outputs that
            are not those of this module's description.
    """
    try:
        model = onnx.load_model_from_string(data)
    except Exception as error:  # the error's type belongs to a package that onnx hides
        raise CriticGraphError(f"{len(data)} bytes that are not an ONNX graph: {error}") from error
    _require_harmless(model)
    try:
        onnx.checker.check_model(model)
    except onnx.checker.ValidationError as error:
        raise CriticGraphError(f"is not a valid ONNX graph: {error}") from error
    _require_inputs(model.graph, specification)
    outputs = [item.name for item in model.graph.output]
    if outputs != ["values"]:
        raise CriticGraphError(f"expected the one output 'values', got {outputs}")
    return model
