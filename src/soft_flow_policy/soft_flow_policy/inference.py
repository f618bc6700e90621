"""Inference for one observation: the policy as an ONNX Runtime session, or in PyTorch where that fails.

The graph is exported once, into memory, when a checkpoint is loaded. Weights are initializers of it under
their PyTorch names, so that other weights need a new session (a tenth of a second) but no new export (a
second). `prepare` makes such a session beside the one that acts, so a thread of its own can do it; to take it
over is to use it instead, at a moment that the caller chooses.
"""

import copy
import warnings
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Protocol

import numpy as np
import onnx
import onnxruntime
import torch
from torch import Tensor

from soft_flow_policy.graph_export import PREFIX, PolicyGraph, distinct_weights, example_inputs, export_graph
from soft_flow_policy.graph_weights import GraphWeights
from soft_flow_policy.policy import FlowPolicy


class InferenceError(RuntimeError):
    """The policy's, or the critic's, answer cannot be used."""


@dataclass(frozen=True)
class SampledChunks:
    """What a session answers to one observation.

    actions: (N, T, A) float32, contract space, not clipped.
    log_prob: (N,) exact log densities of these actions at temperature 1, contract space, nats.
    rescored: (N,) the same of the earlier plan continued as each of them is; NaN without an earlier plan.
    """

    actions: np.ndarray
    log_prob: np.ndarray
    rescored: np.ndarray


class InferenceSession(Protocol):
    """What a runtime offers."""

    runtime: str

    def sample(
        self,
        proprioception: np.ndarray,
        images: Mapping[str, np.ndarray],
        noise: np.ndarray,
        temperature: float,
        earlier: np.ndarray | None = None,
    ) -> SampledChunks:
        """Sample the candidate chunks for an observation.

        Args:
            proprioception: (P,) float32.
            images: camera name -> (H, W, 3) uint8.
            noise: (N, T, A) float32, standard normal; N is what the session was made for.
            temperature: factor on the noise.
            earlier: (M, A) what an earlier chunk still plans, to be rescored by a session that does so.

        Raises:
            InferenceError: the answer is not finite.
        """
        ...

    def prepare(self, state: Mapping[str, Tensor]) -> "InferenceSession":
        """A session of the same graph with other weights, warmed up by one inference; this one is untouched.

        May run in another thread while this session samples.

        Args:
            state: state dictionary of a policy of the same configuration, see `unpack_weights`.

        Raises:
            InferenceError: a weight is missing, or the answer is not finite.
        """
        ...


class ChunkValue(Protocol):
    """What a critic offers: it compares candidate chunks.

    Attributes:
        state: what its weights look like: names, shapes and types, without storage (device 'meta').
    """

    state: Mapping[str, Tensor]

    def values(
        self, proprioception: np.ndarray, images: Mapping[str, np.ndarray], chunks: np.ndarray
    ) -> np.ndarray:
        """Values (N,) of chunks, higher is better.

        Args:
            proprioception: (P,) float32.
            images: camera name -> (H, W, 3) uint8.
            chunks: (N, T, A) float32, contract space, clipped as they would be executed.

        Raises:
            InferenceError: a value is not finite.
        """
        ...

    def prepare(self, state: Mapping[str, Tensor]) -> "ChunkValue":
        """The same critic with other weights, warmed up by one inference; this one is untouched.

        May run in another thread while this critic compares.

        Args:
            state: as its own `state`, see `unpack_weights`.

        Raises:
            InferenceError: a value is not finite.
        """
        ...


def start_runtime(graph: bytes) -> onnxruntime.InferenceSession:
    """An ONNX Runtime session on one thread."""
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1
    options.inter_op_num_threads = 1
    options.log_severity_level = 3
    return onnxruntime.InferenceSession(graph, options, providers=["CPUExecutionProvider"])


class WeightlessGraph:
    """An exported policy into which weights are put: what all its sessions share."""

    def __init__(self, policy: FlowPolicy, denoise: bool, candidates: int, rescore: bool) -> None:
        """Export the policy, a second's work; arguments as in `make_session`."""
        self.cameras = policy.encoder.camera_names
        self.inputs = example_inputs(policy, candidates, rescore)
        outputs = ["actions", "log_prob", *(["rescored"] if rescore else [])]
        module = PolicyGraph(distinct_weights(policy), denoise, candidates, rescore)
        model = onnx.load_from_string(export_graph(module, self.inputs, outputs))
        self._weights = GraphWeights(model, policy.state_dict(), PREFIX)

    def start(self, state: Mapping[str, Tensor]) -> onnxruntime.InferenceSession:
        """A runtime with these weights.

        Raises:
            InferenceError: a weight of the graph is missing in `state`.
        """
        try:
            graph = self._weights.filled(state)
        except KeyError as error:
            raise InferenceError(
                f"weights: tensor {error} is missing; they belong to another configuration"
            ) from error
        return start_runtime(graph)


class OnnxSession:
    """A policy in ONNX Runtime, warmed up by one inference."""

    runtime = "onnxruntime"

    def __init__(self, graph: WeightlessGraph, state: Mapping[str, Tensor]) -> None:
        """Put a state dictionary into the graph and warm up.

        Raises:
            InferenceError: a weight is missing, or the answer is not finite.
        """
        self._graph = graph
        self._session = graph.start(state)
        _answer(self._session.run(None, graph.inputs), None)

    @classmethod
    def export(
        cls, policy: FlowPolicy, denoise: bool, candidates: int = 1, rescore: bool = False
    ) -> "OnnxSession":
        """A session of a new graph; arguments as in `make_session`."""
        return cls(WeightlessGraph(policy, denoise, candidates, rescore), policy.state_dict())

    def sample(
        self,
        proprioception: np.ndarray,
        images: Mapping[str, np.ndarray],
        noise: np.ndarray,
        temperature: float,
        earlier: np.ndarray | None = None,
    ) -> SampledChunks:
        """See `InferenceSession`."""
        inputs = {
            "noise": noise,
            "temperature": np.asarray(temperature, np.float32),
            "proprioception": proprioception[None],
        }
        inputs.update({f"image_{name}": images[name][None] for name in self._graph.cameras})
        if "earlier" in self._graph.inputs:
            inputs["earlier"] = self._graph.inputs["earlier"] if earlier is None else earlier
        return _answer(self._session.run(None, inputs), earlier)

    def prepare(self, state: Mapping[str, Tensor]) -> "OnnxSession":
        """See `InferenceSession`."""
        return OnnxSession(self._graph, state)


class TorchSession:
    """A policy in PyTorch, warmed up by one inference: slower, always there."""

    runtime = "torch"

    def __init__(self, policy: FlowPolicy, denoise: bool, candidates: int = 1, rescore: bool = False) -> None:
        """Wrap the policy and warm up; arguments as in `make_session`.

        Raises:
            InferenceError: the answer is not finite.
        """
        self._graph = PolicyGraph(policy.eval(), denoise, candidates, rescore)
        self._inputs = example_inputs(policy, candidates, rescore)
        _answer(self._run(*self._inputs.values()), None)

    def _run(self, *inputs: np.ndarray) -> list[np.ndarray]:
        with torch.inference_mode():
            answers = self._graph(*(torch.from_numpy(np.asarray(value)) for value in inputs))
        return [answer.numpy() for answer in answers]

    def sample(
        self,
        proprioception: np.ndarray,
        images: Mapping[str, np.ndarray],
        noise: np.ndarray,
        temperature: float,
        earlier: np.ndarray | None = None,
    ) -> SampledChunks:
        """See `InferenceSession`."""
        cameras = self._graph.policy.encoder.camera_names
        others = [np.ascontiguousarray(images[name])[None] for name in cameras]
        if self._graph.rescore:
            others.append(self._inputs["earlier"] if earlier is None else earlier)
        answers = self._run(noise, np.asarray(temperature, np.float32), proprioception[None], *others)
        return _answer(answers, earlier)

    def prepare(self, state: Mapping[str, Tensor]) -> "TorchSession":
        """See `InferenceSession`."""
        graph = self._graph
        policy = copy.deepcopy(graph.policy)
        try:
            policy.load_state_dict(dict(state))
        except RuntimeError as error:  # PyTorch's kind for missing names and other shapes
            raise InferenceError(f"weights: they belong to another configuration: {error}") from error
        return TorchSession(policy, graph.denoise, graph.candidates, graph.rescore)


def _answer(answers: list[np.ndarray], earlier: np.ndarray | None) -> SampledChunks:
    actions, log_prob = answers[:2]
    rescored = np.full_like(log_prob, np.nan)
    if earlier is not None:  # what has no number is as unlikely as can be, not unknown
        rescored = np.where(np.isnan(answers[2]), -np.inf, answers[2])
    if not all(np.all(np.isfinite(values)) for values in (actions, log_prob)):
        raise InferenceError("the policy's answer is not finite: the weights or the observation are damaged")
    return SampledChunks(actions, log_prob, rescored)


def make_session(
    policy: FlowPolicy, denoise: bool, runtime: str = "auto", candidates: int = 1, rescore: bool = False
) -> InferenceSession:
    """A session.

    Args:
        policy: with its weights.
        denoise: as in `FlowPolicy.sample`.
        runtime: 'onnxruntime', 'torch', or 'auto' (the first that works).
        candidates: N, chunks that are sampled for every observation.
        rescore: whether what earlier chunks still plan can be rescored.

    Raises:
        ValueError: another runtime.
        RuntimeError: 'onnxruntime' is wanted and does not work.
    """
    if runtime == "torch":
        return TorchSession(policy, denoise, candidates, rescore)
    if runtime not in ("auto", "onnxruntime"):
        raise ValueError(f"runtime: expected 'auto', 'onnxruntime' or 'torch', got '{runtime}'")
    try:
        return OnnxSession.export(policy, denoise, candidates, rescore)
    except Exception as error:  # the exporter and the runtime raise many kinds
        if runtime == "onnxruntime":
            raise RuntimeError(f"ONNX Runtime cannot run this policy: {error}") from error
        warnings.warn(f"ONNX Runtime cannot run this policy, PyTorch takes over: {error}", stacklevel=2)
        return TorchSession(policy, denoise, candidates, rescore)
