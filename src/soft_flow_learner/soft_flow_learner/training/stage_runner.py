"""Runs the updates of one stage; an update is a function of the seed, its number and the replay's content."""

import math

import numpy as np

from soft_flow_learner.algorithm.learner_batch import LearnerBatch
from soft_flow_learner.algorithm.soft_flow_algorithm import Metrics, SoftFlow, SoftFlowUpdate
from soft_flow_learner.errors import DivergenceError
from soft_flow_learner.imitation import seeded_generator
from soft_flow_learner.replay.chunk_windows import ChunkWindows
from soft_flow_learner.replay.row_sampler import RowSampler
from soft_flow_learner.training.compute import ALONE, Compute
from soft_flow_learner.training.frozen_cameras import FrozenCameras
from soft_flow_learner.training.prefetch import Prefetch
from soft_flow_learner.training.stage_config import StageConfig


class StageRunner:
    """The updates of a stage, from the first or from any other."""

    def __init__(
        self,
        algorithm: SoftFlow,
        stage: StageConfig,
        windows: ChunkWindows,
        seed: int,
        compute: Compute = ALONE,
    ) -> None:
        """Begin a stage on the replay behind `windows`; `seed` should differ from stage to stage.

        Raises:
            NoDataError: no chunk fits the stage's data filters.
            LearnerError: the processes cannot share the batch equally.
        """
        self.algorithm, self.stage, self.windows, self.seed = algorithm, stage, windows, seed
        self.compute, self._part = compute, compute.part(stage.batch)
        self.optimization = SoftFlowUpdate(algorithm, stage.objective, compute)
        self._batches = Prefetch(self.batch) if compute.prefetch else None
        shares = [(share.data, share.share) for share in stage.data]
        self._sampler = RowSampler(windows, shares, stage.batch, seed)
        self._rates = [float(group["lr"]) for group in self.optimization.optimizer.param_groups]
        encoder = algorithm.policy.encoder
        self._encoding = FrozenCameras.of(encoder, compute.device)
        self._images = bool(encoder.camera_names) and self._encoding is None

    def encode_images(self) -> None:
        """Let frozen cameras see what is in the replay; the first batch would do it otherwise."""
        if self._encoding is not None:
            self.windows.features.bring_up_to_date(self._encoding)

    def update(self, number: int) -> Metrics:
        """Update `number` of the stage, counted from 0.

        Raises:
            DivergenceError: a loss or gradient is not finite; the weights are those before this update.
        """
        warm_up = min(1.0, (number + 1) / (self.stage.warm_up + 1))
        for group, rate in zip(self.optimization.optimizer.param_groups, self._rates, strict=True):
            group["lr"] = rate * warm_up
        batch = self._batches.get(number) if self._batches else self.batch(number)
        with self.compute.randomness(self.stage.batch):
            metrics = self.optimization.update(batch, seeded_generator(self.seed, 0, number))
        bad = [name for name, value in metrics.items() if not math.isfinite(value)]
        if bad:
            raise DivergenceError(
                f"update {number + 1}: '{bad[0]}' is not finite; resume from the last checkpoint with lower "
                "learning rates, and look at the data"
            )
        return metrics

    def batch(self, number: int) -> LearnerBatch:
        """The batch of update `number`, or this process's part of it."""
        rows = self._sampler.rows(number)
        random = np.random.default_rng((self.seed, 1, number))
        alone = self.compute.processes == 1
        windows = self.windows.batch(
            rows,
            random,
            imitated=self.stage.imitated,
            images=self._images and alone,
            encoding=self._encoding,
        )
        if not alone:  # random actions are those of the whole batch; only the own images are gathered
            own = self.windows.batch(rows[self._part], random, images=self._images)
            windows = windows.part(self._part, own.images, own.next_images)
        return LearnerBatch.of(windows, self.compute.device)
