"""A checkpoint that is loaded and warm, ready to answer observations, and to take other weights over."""

import time
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from soft_flow_contract.steps import ObservationData
from soft_flow_contract.task_specification import TaskSpecification
from soft_flow_policy.checkpoint import CRITIC_FILE, Checkpoint, CheckpointError, open_checkpoint
from soft_flow_policy.chunk_choice import choose_chunk, likely_count
from soft_flow_policy.chunk_schedule import sampling_noise
from soft_flow_policy.chunk_value import OnnxChunkValue
from soft_flow_policy.inference import ChunkValue, InferenceError, InferenceSession, make_session
from soft_flow_policy.weights import WeightsError, WeightsRecord, unpack_weights


@dataclass(frozen=True)
class Sampling:
    """How chunks are sampled.

    seed: of the noise.
    temperature: factor on the base variable, 1 samples the density.
    denoise: remove the dequantization noise from what is executed.
    candidates: chunks to choose from; the critic chooses if there are several.
    likely_fraction: of them that the critic is asked about, the most likely ones.
    rescore: whether what the chunk before still plans is rescored, for the likelihood gate.
    """

    seed: int
    temperature: float
    denoise: bool
    candidates: int = 1
    rescore: bool = False
    likely_fraction: float = 1.0


@dataclass(frozen=True)
class PlannedChunk:
    """Answer of the policy to one observation.

    actions: (T, A) float32, contract space, not clipped.
    log_prob: exact log density of these actions at temperature 1, contract space, nats.
    inference_time: s, of all candidates and the critic.
    value: of the chosen chunk by the critic, NaN without a choice.
    rescored: log density of the earlier plan continued as this chunk is, NaN without an earlier plan.
    """

    actions: np.ndarray
    log_prob: float
    inference_time: float
    value: float = float("nan")
    rescored: float = float("nan")


@dataclass(frozen=True)
class PreparedWeights:
    """Weights in a session that is warm.

    run_id, version: see `WeightsRecord`; run_id is '' if the checkpoint names none.
    published_ns: when they were sent, see `WeightsRecord`; 0 for those of a checkpoint.
    sha256: see `WeightsRecord`; '' for those of a checkpoint.
    critic: chooses among several candidates; None where there is nothing to choose.
    brings_critic: whether it came with these weights; False: it is the one from before.
    """

    session: InferenceSession
    run_id: str
    version: int
    published_ns: int = 0
    sha256: str = ""
    critic: ChunkValue | None = None
    brings_critic: bool = False

    @property
    def name(self) -> str:
        """How messages call these weights."""
        return f"weights version {self.version} of run '{self.run_id}'"


class ServedPolicy:
    """Policy, runtime and version of one checkpoint."""

    def __init__(
        self, path: str, sampling: Sampling, runtime: str, specification: TaskSpecification | None
    ) -> None:
        """Load, verify, export and warm up.

        Raises:
            CheckpointError, SpecificationMismatch: it cannot be used, see `open_checkpoint`; it has no critic
                to choose among several candidates.
        """
        if not path:
            raise CheckpointError("checkpoint: no path was given; set the parameter to a checkpoint folder")
        checkpoint = open_checkpoint(Path(path).expanduser(), specification)
        critic = _critic(checkpoint, sampling)
        policy = checkpoint.policy()
        self.path, self.specification = path, checkpoint.specification
        self.manifest = checkpoint.manifest
        self._sampling = sampling
        # Without storage: only names, shapes and types are asked for.
        self._state = {name: tensor.to("meta") for name, tensor in policy.state_dict().items()}
        self._weights = PreparedWeights(
            make_session(policy, sampling.denoise, runtime, sampling.candidates, sampling.rescore),
            str(checkpoint.manifest.extra.get("run_id", "")),
            checkpoint.manifest.version,
            critic=critic,
        )
        self._left: set[str] = set()  # runs whose weights gave way to those of another run

    @property
    def weights(self) -> PreparedWeights:
        """What acts now."""
        return self._weights

    @property
    def version(self) -> int:
        """Version of the weights that act now."""
        return self._weights.version

    @property
    def run_id(self) -> str:
        """Training run of the weights that act now; '' if the checkpoint names none."""
        return self._weights.run_id

    @property
    def runtime(self) -> str:
        """Name of the runtime."""
        return self._weights.session.runtime

    def knows(self, record: WeightsRecord, newest: PreparedWeights | None = None) -> bool:
        """Whether these very weights act or wait already; arguments as of `prepare`."""
        newest = newest or self._weights
        known = newest.run_id, newest.version, newest.sha256
        return known == (record.run_id, record.version, record.sha256)

    def prepare(self, record: WeightsRecord, newest: PreparedWeights | None = None) -> PreparedWeights:
        """Verify weights and warm them up, in any thread; what acts now goes on meanwhile.

        Args:
            record: the weights; a critic that they bring replaces the one that chooses now.
            newest: the weights that these must be newer than; None: those that act now.

        Raises:
            WeightsError: they belong to another task, are not newer, fail a check of `unpack_weights`, or
                their answer cannot be used.
        """
        newest = newest or self._weights
        if record.specification_hash != self.specification.hash:
            raise WeightsError(
                f"{record.name}: specification {record.specification_hash[:12] or '(none)'}, expected "
                f"{self.specification.hash[:12]} of {self.path}; train on the same task file"
            )
        self._require_newer(record, newest)
        critic = newest.critic
        try:
            came = unpack_weights(
                record.data, record.sha256, self._state, None if critic is None else critic.state
            )
            session = self._weights.session.prepare(came.policy)
            if critic is not None and came.critic is not None:
                critic = critic.prepare(came.critic)
        except (WeightsError, InferenceError) as error:
            raise WeightsError(f"{record.name}: {error}") from error
        brings = came.critic is not None
        stamp = record.published_ns
        return PreparedWeights(session, record.run_id, record.version, stamp, record.sha256, critic, brings)

    def _require_newer(self, record: WeightsRecord, newest: PreparedWeights) -> None:
        if record.run_id != newest.run_id:
            if record.run_id in self._left or record.run_id == self.run_id:
                raise WeightsError(
                    f"{record.name}: run '{newest.run_id}' has followed that run; these came late, or two "
                    "learners are at work"
                )
        elif record.version <= newest.version:
            raise WeightsError(
                f"{record.name}: not newer than version {newest.version}, which the policy has; "
                "a learner that starts anew needs a run_id of its own"
            )

    def take_over(self, prepared: PreparedWeights) -> PreparedWeights:
        """Let prepared weights act from the next plan on, at once; returns those that acted until now."""
        previous, self._weights = self._weights, prepared
        return previous

    def leave(self, run_id: str) -> None:
        """Take no more weights of a run that another one has followed."""
        self._left.add(run_id)

    def plan(self, observation: ObservationData, earlier: np.ndarray | None = None) -> PlannedChunk:
        """The chunk for an observation: the same for the same stamp, observation, seed and weights.

        Args:
            observation: to plan from.
            earlier: (M, A) what the chunk before still plans, contract space, to be rescored.

        Raises:
            ObservationError: the observation does not fit the specification.
            InferenceError: an answer of policy or critic is not finite.
        """
        observation.require_valid(self.specification)
        start = time.perf_counter()
        sampling, chunk = (
            self._sampling,
            (self.specification.chunk.length, self.specification.action_dimension),
        )
        noise = np.stack(
            [
                sampling_noise(sampling.seed, observation.stamp_ns, *chunk, candidate)
                for candidate in range(sampling.candidates)
            ]
        )
        proprioception = np.ascontiguousarray(observation.proprioception)
        samples = self._weights.session.sample(
            proprioception, observation.images, noise, sampling.temperature, earlier
        )
        best, value = 0, float("nan")
        critic = self._weights.critic
        if critic is not None:
            # The critic was trained on what is executed: clipped chunks.
            clipped = np.clip(samples.actions, -1.0, 1.0)
            best, value = choose_chunk(
                samples.log_prob,
                sampling.likely_fraction,
                lambda kept: critic.values(proprioception, observation.images, clipped[kept]),
            )
        duration = time.perf_counter() - start
        log_prob, rescored = float(samples.log_prob[best]), float(samples.rescored[best])
        return PlannedChunk(samples.actions[best], log_prob, duration, value, rescored)


def _critic(checkpoint: Checkpoint, sampling: Sampling) -> ChunkValue | None:
    """The critic that chooses among several candidates; None where there is nothing to choose."""
    if sampling.candidates == 1:
        return None
    data = checkpoint.critic()
    if data is None:
        raise CheckpointError(
            f"{checkpoint.path}: has no '{CRITIC_FILE}' to choose among {sampling.candidates} candidates; "
            "set candidates to 1, or serve a checkpoint of a stage that trains a critic"
        )
    asked = likely_count(sampling.candidates, sampling.likely_fraction)
    return OnnxChunkValue(data, checkpoint.specification, asked)
