"""A checkpoint that is loaded and warm, ready to answer observations."""

from dataclasses import dataclass
from pathlib import Path

import numpy as np

from soft_flow_contract.steps import ObservationData
from soft_flow_contract.task_specification import TaskSpecification
from soft_flow_policy.checkpoint import CheckpointError, open_checkpoint
from soft_flow_policy.chunk_schedule import sampling_noise
from soft_flow_policy.inference import InferenceSession, PlannedChunk, make_session


@dataclass(frozen=True)
class Sampling:
    """How chunks are sampled.

    seed: of the noise.
    temperature: factor on the base variable, 1 samples the density.
    denoise: remove the dequantization noise from what is executed.
    """

    seed: int
    temperature: float
    denoise: bool


class ServedPolicy:
    """Policy, runtime and version of one checkpoint."""

    def __init__(
        self, path: str, sampling: Sampling, runtime: str, specification: TaskSpecification | None
    ) -> None:
        """Load, verify, export and warm up.

        Raises:
            CheckpointError, SpecificationMismatch: it cannot be used, see `open_checkpoint`.
        """
        if not path:
            raise CheckpointError("checkpoint: no path was given; set the parameter to a checkpoint folder")
        checkpoint = open_checkpoint(Path(path).expanduser(), specification)
        policy = checkpoint.policy()
        self.path, self.version = path, checkpoint.manifest.version
        self.specification = checkpoint.specification
        self.session: InferenceSession = make_session(policy, sampling.denoise, runtime)
        self._sampling = sampling

    def plan(self, observation: ObservationData) -> PlannedChunk:
        """The chunk for an observation: the same for the same stamp, observation and seed.

        Raises:
            ObservationError: the observation does not fit the specification.
            InferenceError: the answer is not finite.
        """
        observation.require_valid(self.specification)
        noise = sampling_noise(
            self._sampling.seed,
            observation.stamp_ns,
            self.specification.chunk.length,
            self.specification.action_dimension,
        )
        return self.session.plan(
            np.ascontiguousarray(observation.proprioception),
            observation.images,
            noise,
            self._sampling.temperature,
        )
