"""Runs the updates of one stage; an update is a function of the seed, its number and the replay's content."""

import math

import numpy as np

from soft_flow_learner.algorithm.learner_batch import LearnerBatch
from soft_flow_learner.algorithm.soft_flow_algorithm import Metrics, SoftFlow, SoftFlowUpdate
from soft_flow_learner.errors import DivergenceError
from soft_flow_learner.imitation import seeded_generator
from soft_flow_learner.replay.chunk_windows import ChunkWindows
from soft_flow_learner.replay.row_sampler import RowSampler
from soft_flow_learner.training.stage_config import StageConfig


class StageRunner:
    """The updates of a stage, from the first or from any other."""

    def __init__(self, algorithm: SoftFlow, stage: StageConfig, windows: ChunkWindows, seed: int) -> None:
        """Begin a stage on the replay behind `windows`; `seed` should differ from stage to stage.

        Raises:
            NoDataError: no chunk fits the stage's data filters.
        """
        self.algorithm, self.stage, self.windows, self.seed = algorithm, stage, windows, seed
        self.optimization = SoftFlowUpdate(algorithm, stage.objective)
        shares = [(share.data, share.share) for share in stage.data]
        self._sampler = RowSampler(windows, shares, stage.batch, seed)
        self._rates = [float(group["lr"]) for group in self.optimization.optimizer.param_groups]
        self._cameras = bool(algorithm.policy.encoder.camera_names)

    def update(self, number: int) -> Metrics:
        """Update `number` of the stage, counted from 0.

        Raises:
            DivergenceError: a loss or gradient is not finite; the weights are those before this update.
        """
        warm_up = min(1.0, (number + 1) / (self.stage.warm_up + 1))
        for group, rate in zip(self.optimization.optimizer.param_groups, self._rates, strict=True):
            group["lr"] = rate * warm_up
        metrics = self.optimization.update(self.batch(number), seeded_generator(self.seed, 0, number))
        bad = [name for name, value in metrics.items() if not math.isfinite(value)]
        if bad:
            raise DivergenceError(
                f"update {number + 1}: '{bad[0]}' is not finite; resume from the last checkpoint with lower "
                "learning rates, and look at the data"
            )
        return metrics

    def batch(self, number: int) -> LearnerBatch:
        """The batch of update `number`."""
        random = np.random.default_rng((self.seed, 1, number))
        windows = self.windows.batch(
            self._sampler.rows(number), random, imitated=self.stage.imitated, images=self._cameras
        )
        return LearnerBatch.of(windows)
