"""The critic of a checkpoint in ONNX Runtime: it says which of several candidate chunks is the best."""

import copy
from collections.abc import Mapping

import numpy as np
import onnxruntime
from torch import Tensor

from soft_flow_contract.task_specification import TaskSpecification
from soft_flow_policy.critic_graph import CriticGraphError, camera_inputs, read_critic_graph
from soft_flow_policy.graph_weights import GraphWeights
from soft_flow_policy.inference import InferenceError, start_runtime


class OnnxChunkValue:
    """A `ChunkValue` from the bytes of a critic's graph, warmed up by one inference."""

    def __init__(self, data: bytes, specification: TaskSpecification, candidates: int) -> None:
        """Check the graph, start and warm up for `candidates` chunks at a time.

        Raises:
            CriticGraphError: it is no critic of this task, or cannot be run; see `read_critic_graph`.
            InferenceError: its values are not finite.
        """
        model = read_critic_graph(data, specification)
        self._specification, self._candidates = specification, candidates
        self._cameras = camera_inputs(model, specification)
        self._weights = GraphWeights.of_numbers(model)
        self.state: Mapping[str, Tensor] = self._weights.state()
        self._start(data)

    def _start(self, data: bytes) -> None:
        try:
            self._session: onnxruntime.InferenceSession = start_runtime(data)
            self._warm_up()
        except InferenceError:
            raise
        except Exception as error:  # the runtime raises many kinds
            raise CriticGraphError(f"ONNX Runtime cannot run the critic: {error}") from error

    def _warm_up(self) -> None:
        specification = self._specification
        shape = (self._candidates, specification.chunk.length, specification.action_dimension)
        sizes = {camera.name: (camera.height, camera.width) for camera in specification.observation.cameras}
        self.values(
            np.zeros(specification.proprioception_dimension, np.float32),
            {name: np.zeros((*sizes[name], 3), np.uint8) for name in self._cameras},
            np.zeros(shape, np.float32),
        )

    def prepare(self, state: Mapping[str, Tensor]) -> "OnnxChunkValue":
        """See `ChunkValue`."""
        twin = copy.copy(self)
        twin._start(self._weights.filled(state))
        return twin

    def values(
        self, proprioception: np.ndarray, images: Mapping[str, np.ndarray], chunks: np.ndarray
    ) -> np.ndarray:
        """See `ChunkValue`."""
        inputs = {"proprioception": proprioception[None], "chunks": chunks}
        inputs.update({f"image_{name}": images[name][None] for name in self._cameras})
        (values,) = self._session.run(["values"], inputs)
        if values.shape != (len(chunks),):
            raise InferenceError(f"the critic answers with shape {values.shape}, expected ({len(chunks)},)")
        if not np.all(np.isfinite(values)):
            raise InferenceError(
                "the critic's answer is not finite: its weights or the observation are damaged"
            )
        return values
