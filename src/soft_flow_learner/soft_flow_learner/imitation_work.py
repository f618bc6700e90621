"""The work of stage 1: which rows an imitation update sees, and what it is measured by."""

from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np
from torch import Tensor

from soft_flow_learner.episode_store import ChunkBatch, EpisodeStore
from soft_flow_learner.gate_observations import pairs_of_store
from soft_flow_learner.imitation import Imitation, seeded_generator
from soft_flow_learner.learning_schedule import learning_rate
from soft_flow_learner.row_order import RowOrder
from soft_flow_learner.training.compute import on_cpu
from soft_flow_learner.training.prefetch import Prefetch
from soft_flow_policy.gate_calibration import calibrate, to_manifest
from soft_flow_policy.policy import FlowPolicy


class ImitationWork:
    """Maximum likelihood of demonstrations, see `StageWork`."""

    watched = "loss"

    def __init__(
        self, imitation: Imitation, training: EpisodeStore, held_out: EpisodeStore | None, seed: int
    ) -> None:
        """Train on one store, measure on another; order and noise follow from `seed`."""
        config = imitation.config
        self._imitation, self._training, self._held_out, self._seed = imitation, training, held_out, seed
        self._compute, self._part = imitation.compute, imitation.compute.part(config.batch)
        self._batches = Prefetch(self._batch) if self._compute.prefetch else None
        self._order = RowOrder(len(training), config.batch, seed)
        self.divergence, self.evaluation_interval = config.divergence, config.evaluation_interval
        self.checkpoint_interval, self.checkpoint_seconds = (
            config.checkpoint_interval,
            config.checkpoint_seconds,
        )

    @property
    def average(self) -> FlowPolicy:
        """See StageWork."""
        return self._imitation.average

    def update(self, done: int, progress: float) -> dict[str, float]:
        """See StageWork."""
        config = self._imitation.config
        rate = learning_rate(config, done, progress)
        batch = self._batches.get(done) if self._batches else self._batch(done)
        with self._compute.randomness(config.batch):
            metrics = self._imitation.update(batch, seeded_generator(self._seed, 0, done), rate, done)
        return {
            "loss": metrics.loss,
            "foresight": metrics.foresight,
            "gradient_norm": metrics.gradient_norm,
            "learning_rate": rate,
        }

    def _batch(self, done: int) -> ChunkBatch:
        rows = self._order.batch(done)[self._part]
        return self._training.batch(rows, self._imitation.config.foresight_steps)

    def evaluate(self) -> dict[str, float]:
        """See StageWork."""
        if self._held_out is None:
            return {}
        nll, foresight = self._imitation.held_out(self._held_out_batches(self._held_out), self._seed)
        return {"held_out_nll": nll, "held_out_foresight": foresight}

    def _held_out_batches(self, store: EpisodeStore) -> Iterator[ChunkBatch]:
        config = self._imitation.config
        rows = np.unique(np.linspace(0, len(store) - 1, min(config.held_out_rows, len(store))).astype(int))
        for start in range(0, len(rows), config.batch):
            yield store.batch(rows[start : start + config.batch], config.foresight_steps)

    def state(self) -> dict[str, Tensor]:
        """See StageWork."""
        return self._imitation.state()

    def load_state(self, average: dict[str, Tensor], state: dict[str, Tensor]) -> None:
        """See StageWork."""
        self._imitation.load_state(average, state)

    def critic_graph(self) -> None:
        """See StageWork: imitation has no critic."""
        return None

    def critic_weights(self) -> None:
        """See StageWork: imitation has no critic."""
        return None

    def results(self) -> Mapping[str, Any]:
        """See StageWork."""
        return {"episodes": len(self._training.episodes), **self._gate()}

    def _gate(self) -> dict[str, Any]:
        if self._held_out is None:
            return {}
        pairs = pairs_of_store(self._held_out, self.average.specification.chunk.executed)
        return to_manifest(calibrate(on_cpu(self.average), pairs, self._seed))
