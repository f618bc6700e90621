"""Inference at batch 1: the policy as an ONNX Runtime session, or in PyTorch where that is not possible.

The graph is exported once, into memory, when a checkpoint is loaded; weights are initializers under their
PyTorch names and are put in when a session starts, so that `OnnxSession.swap_weights` needs no other export.
"""

import copy
import io
import time
import warnings
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Protocol

import numpy as np
import onnx
import onnx.numpy_helper
import onnxruntime
import torch
from torch import Tensor, nn

from soft_flow_policy.observation_encoder import ObservationBatch
from soft_flow_policy.policy import FlowPolicy

OPSET = 17
PREFIX = "policy."  # of the weights' names in the graph


class InferenceError(RuntimeError):
    """The policy's answer cannot be used."""


@dataclass(frozen=True)
class PlannedChunk:
    """Answer of the policy to one observation.

    actions: (T, A) float32, contract space, not clipped.
    log_prob: exact log density of these actions at temperature 1, contract space, nats.
    inference_time: s.
    """

    actions: np.ndarray
    log_prob: float
    inference_time: float


class InferenceSession(Protocol):
    """What a runtime offers."""

    runtime: str

    def plan(
        self,
        proprioception: np.ndarray,
        images: Mapping[str, np.ndarray],
        noise: np.ndarray,
        temperature: float,
    ) -> PlannedChunk:
        """Plan a chunk.

        Args:
            proprioception: (P,) float32.
            images: camera name -> (H, W, 3) uint8.
            noise: (T, A) float32, standard normal.
            temperature: factor on the noise.

        Raises:
            InferenceError: the answer is not finite.
        """
        ...


class PolicyGraph(nn.Module):
    """The policy as a function of plain tensors, for one observation."""

    def __init__(self, policy: FlowPolicy, denoise: bool) -> None:
        """Wrap `policy`; `denoise` as in `FlowPolicy.sample`."""
        super().__init__()
        self.policy, self.denoise = policy, denoise

    def forward(
        self, noise: Tensor, temperature: Tensor, proprioception: Tensor, *images: Tensor
    ) -> tuple[Tensor, Tensor]:
        """Noise (T, A), temperature (), proprioception (1, P), an image (1, H, W, 3) for each camera."""
        observation: ObservationBatch = {
            "proprioception": proprioception,
            "images": dict(zip(self.policy.encoder.camera_names, images, strict=True)),
        }
        context = self.policy.encode(observation)[0]
        previous = self.policy.previous_action(observation) if self.denoise else None
        # Without a batch axis every product of the flow is a plain matrix product, the fastest at this size.
        sample = self.policy.sample_given_context(
            context, temperature, noise, previous_action=None if previous is None else previous[0]
        )
        return sample.actions, sample.log_prob


def distinct_weights(policy: FlowPolicy) -> FlowPolicy:
    """A copy whose tensors all differ, because the exporter merges initializers that are equal by value."""
    twin = copy.deepcopy(policy).eval()
    generator = torch.Generator().manual_seed(0)
    for tensor in twin.state_dict().values():
        tensor.copy_(torch.rand(tensor.shape, generator=generator))
    return twin


def example_inputs(policy: FlowPolicy) -> dict[str, np.ndarray]:
    """Inputs of the right names, shapes and types, all zero."""
    specification = policy.specification
    inputs: dict[str, np.ndarray] = {
        "noise": np.zeros((policy.length, policy.dimension), np.float32),
        "temperature": np.zeros((), np.float32),
        "proprioception": np.zeros((1, specification.proprioception_dimension), np.float32),
    }
    sizes = {camera.name: (camera.height, camera.width) for camera in specification.observation.cameras}
    for name in policy.encoder.camera_names:
        inputs[f"image_{name}"] = np.zeros((1, *sizes[name], 3), np.uint8)
    return inputs


def export_graph(module: nn.Module, inputs: Mapping[str, np.ndarray], outputs: list[str]) -> bytes:
    """An ONNX graph of `module`, whose weights keep their names, as bytes.

    The TorchScript exporter is chosen on purpose: it takes a second, needs no further package, and leaves
    weights as named initializers as long as it folds no constants (ONNX Runtime folds them when it loads).
    """
    file = io.BytesIO()
    with warnings.catch_warnings(), torch.no_grad():
        warnings.simplefilter("ignore")
        torch.onnx.export(
            module,
            tuple(torch.from_numpy(np.asarray(value)) for value in inputs.values()),
            file,  # type: ignore[arg-type]  # this exporter writes to memory too
            dynamo=False,
            opset_version=OPSET,
            do_constant_folding=False,
            input_names=list(inputs),
            output_names=outputs,
        )
    return file.getvalue()


def start_runtime(graph: bytes) -> onnxruntime.InferenceSession:
    """An ONNX Runtime session on one thread."""
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1
    options.inter_op_num_threads = 1
    options.log_severity_level = 3
    return onnxruntime.InferenceSession(graph, options, providers=["CPUExecutionProvider"])


class OnnxSession:
    """A policy in ONNX Runtime."""

    runtime = "onnxruntime"

    def __init__(self, policy: FlowPolicy, denoise: bool) -> None:
        """Export the policy and warm up."""
        self._cameras = policy.encoder.camera_names
        inputs = example_inputs(policy)
        graph = PolicyGraph(distinct_weights(policy), denoise)
        self._graph = onnx.load_from_string(export_graph(graph, inputs, ["actions", "log_prob"]))
        initializers = {item.name: item for item in self._graph.graph.initializer}
        self._weights = {
            name: initializers[PREFIX + name] for name in policy.state_dict() if PREFIX + name in initializers
        }
        self.swap_weights(policy.state_dict())
        self._session.run(None, inputs)

    def swap_weights(self, state: Mapping[str, Tensor]) -> None:
        """Take over the weights of a policy of the same configuration (its state dictionary), not exporting.

        Raises:
            InferenceError: a weight of the graph is missing in `state`.
        """
        for name, initializer in self._weights.items():
            if name not in state:
                raise InferenceError(
                    f"weights: tensor '{name}' is missing; they belong to another configuration"
                )
            initializer.CopyFrom(onnx.numpy_helper.from_array(state[name].detach().numpy(), PREFIX + name))
        self._session = start_runtime(self._graph.SerializeToString())

    def plan(
        self,
        proprioception: np.ndarray,
        images: Mapping[str, np.ndarray],
        noise: np.ndarray,
        temperature: float,
    ) -> PlannedChunk:
        """See `InferenceSession`."""
        start = time.perf_counter()
        inputs = {
            "noise": noise,
            "temperature": np.asarray(temperature, np.float32),
            "proprioception": proprioception[None],
        }
        inputs.update({f"image_{name}": images[name][None] for name in self._cameras})
        actions, log_prob = self._session.run(None, inputs)
        return _checked(actions, float(log_prob), start)


class TorchSession:
    """A policy in PyTorch: slower, always there."""

    runtime = "torch"

    def __init__(self, policy: FlowPolicy, denoise: bool) -> None:
        """Wrap the policy and warm up."""
        self._cameras = policy.encoder.camera_names
        self._graph = PolicyGraph(policy.eval(), denoise)
        with torch.inference_mode():
            self._graph(*(torch.from_numpy(np.asarray(value)) for value in example_inputs(policy).values()))

    def plan(
        self,
        proprioception: np.ndarray,
        images: Mapping[str, np.ndarray],
        noise: np.ndarray,
        temperature: float,
    ) -> PlannedChunk:
        """See `InferenceSession`."""
        start = time.perf_counter()
        with torch.inference_mode():
            actions, log_prob = self._graph(
                torch.from_numpy(noise),
                torch.tensor(temperature, dtype=torch.float32),
                torch.from_numpy(proprioception)[None],
                *(torch.from_numpy(np.ascontiguousarray(images[name]))[None] for name in self._cameras),
            )
        return _checked(actions.numpy(), float(log_prob), start)


def _checked(actions: np.ndarray, log_prob: float, start: float) -> PlannedChunk:
    if not (np.all(np.isfinite(actions)) and np.isfinite(log_prob)):
        raise InferenceError("the policy's answer is not finite: the weights or the observation are damaged")
    return PlannedChunk(actions, log_prob, time.perf_counter() - start)


def make_session(policy: FlowPolicy, denoise: bool, runtime: str = "auto") -> InferenceSession:
    """A session of the wanted runtime: 'onnxruntime', 'torch', or 'auto' (the first that works).

    Raises:
        ValueError: another runtime.
        RuntimeError: 'onnxruntime' is wanted and does not work.
    """
    if runtime == "torch":
        return TorchSession(policy, denoise)
    if runtime not in ("auto", "onnxruntime"):
        raise ValueError(f"runtime: expected 'auto', 'onnxruntime' or 'torch', got '{runtime}'")
    try:
        return OnnxSession(policy, denoise)
    except Exception as error:  # the exporter and the runtime raise many kinds
        if runtime == "onnxruntime":
            raise RuntimeError(f"ONNX Runtime cannot run this policy: {error}") from error
        warnings.warn(f"ONNX Runtime cannot run this policy, PyTorch takes over: {error}", stacklevel=2)
        return TorchSession(policy, denoise)
