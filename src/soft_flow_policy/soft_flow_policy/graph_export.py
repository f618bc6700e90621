"""The policy as an ONNX graph whose weights are initializers under their PyTorch names."""

import copy
import io
import warnings
from collections.abc import Mapping
from typing import TypeVar

import numpy as np
import torch
from torch import Tensor, nn

from soft_flow_policy.observation_encoder import ObservationBatch
from soft_flow_policy.overlap_likelihood import rescore
from soft_flow_policy.policy import ChunkSample, FlowPolicy

OPSET = 17
PREFIX = "policy."  # of the weights' names in the graph
Module = TypeVar("Module", bound=nn.Module)


class PolicyGraph(nn.Module):
    """The policy as a function of plain tensors: N chunks for one observation."""

    def __init__(self, policy: FlowPolicy, denoise: bool, candidates: int = 1, rescore: bool = False) -> None:
        """Wrap `policy`; `denoise` as in `FlowPolicy.sample`; `candidates` is N.

        With `rescore` there is one more input and output: the M steps that an earlier chunk still plans, and
        the log densities of them continued as the new chunks are, see `overlap_likelihood`.
        """
        super().__init__()
        self.policy, self.denoise, self.candidates, self.rescore = policy, denoise, candidates, rescore

    def forward(
        self, noise: Tensor, temperature: Tensor, proprioception: Tensor, *others: Tensor
    ) -> tuple[Tensor, ...]:
        """Noise (N, T, A), temperature (), proprioception (1, P), an image (1, H, W, 3) for each camera.

        With `rescore` the earlier steps (M, A) follow. Returns actions (N, T, A) and their log densities
        (N,), as `ChunkSample`, and with `rescore` those of the earlier plan (N,).
        """
        cameras = self.policy.encoder.camera_names
        observation: ObservationBatch = {
            "proprioception": proprioception,
            "images": dict(zip(cameras, others[: len(cameras)], strict=True)),
        }
        context = self.policy.encode(observation)  # once, however many candidates there are
        sample = self._sample(context, observation, noise, temperature)
        if not self.rescore:
            return sample.actions, sample.log_prob
        earlier = others[-1].expand(self.candidates, -1, -1)
        rescored = rescore(self.policy, context.expand(self.candidates, -1), earlier, sample.actions)
        return sample.actions, sample.log_prob, rescored

    def _sample(
        self, context: Tensor, observation: ObservationBatch, noise: Tensor, temperature: Tensor
    ) -> ChunkSample:
        """Chunks for one context (1, C)."""
        previous = self.policy.previous_action(observation) if self.denoise else None
        if self.candidates == 1:
            # Without a batch axis every product of the flow is a plain matrix product, the fastest.
            single = self.policy.sample_given_context(
                context[0],
                temperature,
                noise[0],
                previous_action=None if previous is None else previous[0],
            )
            return ChunkSample(single.actions.unsqueeze(0), single.log_prob.unsqueeze(0))
        return self.policy.sample_given_context(
            context.expand(self.candidates, -1),
            temperature,
            noise,
            previous_action=None if previous is None else previous.expand(self.candidates, -1),
        )


def distinct_weights(module: Module) -> Module:
    """A copy whose tensors all differ, because the exporter merges initializers that are equal by value."""
    twin = copy.deepcopy(module).eval()
    generator = torch.Generator().manual_seed(0)
    for tensor in twin.state_dict().values():
        tensor.copy_(torch.rand(tensor.shape, generator=generator))
    return twin


def example_inputs(policy: FlowPolicy, candidates: int = 1, rescore: bool = False) -> dict[str, np.ndarray]:
    """Inputs of the right names, shapes and types, all zero."""
    specification = policy.specification
    inputs: dict[str, np.ndarray] = {
        "noise": np.zeros((candidates, policy.length, policy.dimension), np.float32),
        "temperature": np.zeros((), np.float32),
        "proprioception": np.zeros((1, specification.proprioception_dimension), np.float32),
    }
    sizes = {camera.name: (camera.height, camera.width) for camera in specification.observation.cameras}
    for name in policy.encoder.camera_names:
        inputs[f"image_{name}"] = np.zeros((1, *sizes[name], 3), np.uint8)
    if rescore:
        overlap = policy.length - specification.chunk.executed
        inputs["earlier"] = np.zeros((overlap, policy.dimension), np.float32)
    return inputs


def export_graph(
    module: nn.Module,
    inputs: Mapping[str, np.ndarray],
    outputs: list[str],
    sizes: Mapping[str, Mapping[int, str]] | None = None,
) -> bytes:
    """An ONNX graph of `module`, whose weights keep their names, as bytes.

    Args:
        module: called with the inputs in their order.
        inputs: examples of every input, by name.
        outputs: names of the outputs.
        sizes: of inputs and outputs, the axes whose size may be any, and what it is called.

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
            dynamic_axes=sizes,
        )
    return file.getvalue()
