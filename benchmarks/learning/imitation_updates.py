"""Stage 1 on the replay of an experiment: updates of `Imitation` on the chunks of successful episodes."""

import numpy as np
import torch
from torch import Tensor

from soft_flow_learner.episode_store import ChunkBatch
from soft_flow_learner.errors import DivergenceError
from soft_flow_learner.imitation import Imitation, seeded_generator
from soft_flow_learner.learner_config import ImitationConfig
from soft_flow_learner.learning_schedule import learning_rate
from soft_flow_learner.replay.chunk_windows import ChunkWindows
from soft_flow_learner.replay.row_sampler import RowSampler
from soft_flow_learner.training.compute import ALONE, Compute
from soft_flow_learner.training.prefetch import Prefetch
from soft_flow_learner.training.stage_config import SUCCESSES
from soft_flow_policy.policy import FlowPolicy


def fit_normalizers(policy: FlowPolicy, windows: ChunkWindows) -> None:
    """Fit a policy's normalizers to all chunks of successful episodes."""
    rows = windows.starts(SUCCESSES, complete=False)
    batch = windows.batch(rows, np.random.default_rng(0), images=False)
    policy.fit_normalizers(torch.from_numpy(batch.proprioception), torch.from_numpy(batch.chunk))


class ImitationUpdates:
    """Maximum likelihood of demonstrations, with the interface of `StageWork` as far as it is needed."""

    def __init__(
        self,
        policy: FlowPolicy,
        config: ImitationConfig,
        windows: ChunkWindows,
        seed: int,
        compute: Compute = ALONE,
    ) -> None:
        """Train `policy`, its normalizers fitted, in place; order, crops and noise follow from `seed`.

        The replay must stay as it is if `compute` prefetches.
        """
        self._imitation, self._compute = Imitation(policy, config, compute), compute
        self._cameras = bool(policy.encoder.camera_names)
        self._batches = Prefetch(self._batch) if compute.prefetch else None
        self._config, self._windows, self._seed = config, windows, seed
        self._sampler = RowSampler(windows, [(SUCCESSES, 1.0)], config.batch, seed, complete=False)

    @property
    def average(self) -> FlowPolicy:
        """The averaged policy."""
        return self._imitation.average

    def update(self, done: int, progress: float) -> dict[str, float]:
        """Update number `done + 1`, at this progress (0..1) of the stage.

        Raises:
            DivergenceError: the loss is not finite.
        """
        batch = self._batches.get(done) if self._batches else self._batch(done)
        rate = learning_rate(self._config, done, progress)
        with self._compute.randomness(self._config.batch):
            metrics = self._imitation.update(batch, seeded_generator(self._seed, 0, done), rate, done)
        if not np.isfinite([metrics.loss, metrics.gradient_norm]).all():
            raise DivergenceError(f"imitation, update {done + 1}: the loss is not finite; lower the rate")
        return {
            "nll": metrics.loss,
            "foresight": metrics.foresight,
            "actor_gradient": metrics.gradient_norm,
        }

    def _batch(self, done: int) -> ChunkBatch:
        windows = self._windows.batch(
            self._sampler.rows(done),
            np.random.default_rng((self._seed, 1, done)),
            future_steps=self._config.foresight_steps,
            next_observation=False,
            images=self._cameras,
        )
        return ChunkBatch(windows.images, windows.proprioception, windows.chunk, windows.future)

    def state(self) -> dict[str, Tensor]:
        """See StageWork."""
        return self._imitation.state()

    def load_state(self, average: dict[str, Tensor], state: dict[str, Tensor]) -> None:
        """See StageWork."""
        self._imitation.load_state(average, state)
