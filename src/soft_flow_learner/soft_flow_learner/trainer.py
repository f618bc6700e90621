"""The loop of imitation: batches, updates, evaluation, checkpoints, alarms. The update is `imitation.py`."""

import math
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass

import numpy as np

from soft_flow_learner.episode_store import ChunkBatch, EpisodeStore
from soft_flow_learner.errors import DivergenceError
from soft_flow_learner.imitation import Imitation, UpdateMetrics, seeded_generator
from soft_flow_learner.learner_config import ImitationConfig
from soft_flow_learner.learning_schedule import TimeBudget, learning_rate
from soft_flow_learner.metrics_log import MetricsLog
from soft_flow_learner.row_order import RowOrder
from soft_flow_learner.run_folder import Position, RunFolder, RunRecord
from soft_flow_learner.training_display import TrainingDisplay

SMOOTHING = 0.98  # of the running loss that is shown and watched


@dataclass(frozen=True)
class TrainingResult:
    """How training ended: `finished` is False when it was interrupted."""

    position: Position
    finished: bool
    held_out_nll: float | None


class LossWatch:
    """Stops a run whose loss is not finite or runs away."""

    def __init__(self, divergence: float) -> None:
        """Allow the running loss to exceed its best value by `divergence` nats a dimension."""
        self._divergence = divergence
        self.running: float | None = None
        self._best = math.inf

    def see(self, update: int, metrics: UpdateMetrics) -> float:
        """Take in the metrics of an update; returns the running loss.

        Raises:
            DivergenceError: stop; the weights are still those before this update.
        """
        advice = "resume from the last checkpoint with a lower learning rate, and look at the data"
        if not (math.isfinite(metrics.loss) and math.isfinite(metrics.gradient_norm)):
            raise DivergenceError(
                f"update {update}: loss {metrics.loss:g} with gradient norm {metrics.gradient_norm:g} "
                f"is not finite; {advice}"
            )
        before = metrics.loss if self.running is None else self.running
        self.running = SMOOTHING * before + (1 - SMOOTHING) * metrics.loss
        self._best = min(self._best, self.running)
        if self.running > self._best + self._divergence:
            raise DivergenceError(
                f"update {update}: the likelihood collapses (loss {self.running:.2f} after {self._best:.2f} "
                f"nats a dimension); {advice}"
            )
        return self.running


class Trainer:
    """Runs updates from a position to the end of the plan."""

    def __init__(
        self,
        folder: RunFolder,
        record: RunRecord,
        imitation: Imitation,
        training: EpisodeStore,
        held_out: EpisodeStore | None,
    ) -> None:
        self._folder, self._record, self._imitation = folder, record, imitation
        self._training, self._held_out = training, held_out
        self._config: ImitationConfig = record.settings.config.imitation
        self._seed = record.settings.seed
        self._order = RowOrder(len(training), self._config.batch, self._seed)
        minutes = record.settings.minutes
        self._budget = TimeBudget(60 * minutes) if minutes is not None else None
        self._held_out_nll: float | None = None

    @property
    def plan_updates(self) -> int:
        """Updates of the whole run as planned now."""
        return self._record.plan.updates

    def run(self, start: Position, stop: Callable[[], bool], display: TrainingDisplay) -> TrainingResult:
        """Train from `start` until the plan is done or `stop()` is true; both write a checkpoint.

        Raises:
            DivergenceError: the loss is not finite or runs away; the last checkpoint is untouched.
        """
        began = time.monotonic() - start.seconds
        position, saved = start, start
        watch = LossWatch(self._config.divergence)
        with MetricsLog(self._folder.metrics, self._folder.tensorboard, start.update) as log:
            while position.update < self.plan_updates and not stop():
                values, running = self._step(position.update, watch)
                position = Position(position.update + 1, time.monotonic() - began)
                log.write(position.update, {**values, "seconds": position.seconds})
                self._keep_to_time(position, display)
                left = (self.plan_updates - position.update) * position.seconds / position.update
                display.show(position.update, self.plan_updates, running, self._held_out_nll, left)
                if self._checkpoint_due(saved, position):
                    log.flush()  # a checkpoint never knows more than the log
                    self._folder.save(self._imitation, position)
                    saved = position
            finished = position.update >= self.plan_updates
            if finished:
                log.write(position.update, {**self._evaluate(), "seconds": time.monotonic() - began})
        if position != saved or position.update == 0:
            self._folder.save(self._imitation, position)
        if finished:
            extra = {"episodes": len(self._training.episodes), "seconds": position.seconds}
            self._folder.export(self._imitation, position, {**extra, "held_out_nll": self._held_out_nll})
        return TrainingResult(position, finished, self._held_out_nll)

    def _step(self, done: int, watch: LossWatch) -> tuple[dict[str, float], float]:
        """Update number `done + 1`, and the evaluation if one is due."""
        rate = learning_rate(self._config, done, self._record.plan.progress(done))
        rows = self._order.batch(done)
        batch = self._training.batch(rows, self._config.foresight_steps)
        metrics = self._imitation.update(batch, seeded_generator(self._seed, 0, done), rate, done)
        running = watch.see(done + 1, metrics)
        values = {
            "loss": metrics.loss,
            "foresight": metrics.foresight,
            "gradient_norm": metrics.gradient_norm,
            "learning_rate": rate,
        }
        if (done + 1) % self._config.evaluation_interval == 0:
            values |= self._evaluate()
        return values, running

    def _evaluate(self) -> dict[str, float]:
        if self._held_out is None:
            return {}
        batches = self._held_out_batches(self._held_out)
        self._held_out_nll, foresight = self._imitation.held_out(batches, self._seed)
        return {"held_out_nll": self._held_out_nll, "held_out_foresight": foresight}

    def _held_out_batches(self, store: EpisodeStore) -> Iterator[ChunkBatch]:
        rows = np.unique(
            np.linspace(0, len(store) - 1, min(self._config.held_out_rows, len(store))).astype(int)
        )
        for start in range(0, len(rows), self._config.batch):
            yield store.batch(rows[start : start + self._config.batch], self._config.foresight_steps)

    def _keep_to_time(self, position: Position, display: TrainingDisplay) -> None:
        if self._budget is None or not self._budget.looks(position.update, position.seconds):
            return
        plan = self._budget.plan(self._record.plan, position.update, position.seconds)
        if plan != self._record.plan:
            self._record = self._record.model_copy(update={"plan": plan})
            self._folder.write_record(self._record)
            pace = position.update / position.seconds
            display.say(
                f"{pace:.2f} updates/s: {plan.updates} updates fit into {self._budget.seconds / 60:g} minutes"
            )

    def _checkpoint_due(self, saved: Position, position: Position) -> bool:
        return (
            position.seconds - saved.seconds >= self._config.checkpoint_seconds
            or position.update - saved.update >= self._config.checkpoint_interval
        )
