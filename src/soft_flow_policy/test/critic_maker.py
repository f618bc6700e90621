"""Critics as small as they can be: the value of a chunk is the mean of its actions."""

from collections.abc import Sequence

import onnx
from onnx import TensorProto, helper

from soft_flow_contract.task_specification import TaskSpecification


def mean_action_model(
    specification: TaskSpecification,
    cameras: Sequence[str] = (),
    scale: float = 1.0,
    domain: str = "",
    dimension: int | None = None,
) -> onnx.ModelProto:
    """A critic that looks at `cameras` but does not mind them; the other arguments make it wrong."""
    length, size = specification.chunk.length, dimension or specification.action_dimension
    sizes = {camera.name: (camera.height, camera.width) for camera in specification.observation.cameras}
    inputs = [
        helper.make_tensor_value_info(
            "proprioception", TensorProto.FLOAT, [1, specification.proprioception_dimension]
        ),
        helper.make_tensor_value_info("chunks", TensorProto.FLOAT, ["N", length, size]),
        *(
            helper.make_tensor_value_info(f"image_{name}", TensorProto.UINT8, [1, *sizes[name], 3])
            for name in cameras
        ),
    ]
    graph = helper.make_graph(
        [
            helper.make_node("ReduceMean", ["chunks"], ["mean"], axes=[1, 2], keepdims=0),
            helper.make_node("Mul", ["mean", "scale"], ["values"], domain=domain),
        ],
        "critic",
        inputs,
        [helper.make_tensor_value_info("values", TensorProto.FLOAT, ["N"])],
        [helper.make_tensor("scale", TensorProto.FLOAT, [1], [scale])],
    )
    opsets = [helper.make_opsetid("", 17)] + ([helper.make_opsetid(domain, 1)] if domain else [])
    return helper.make_model(graph, opset_imports=opsets, ir_version=8)


def mean_action_critic(specification: TaskSpecification, **wrong: object) -> bytes:
    """As `mean_action_model`, serialized."""
    return mean_action_model(specification, **wrong).SerializeToString()
