"""The loop of a stage: updates, evaluation, checkpoints, alarms. What is updated, its work knows."""

import math
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Protocol

from torch import Tensor

from soft_flow_learner.errors import DivergenceError
from soft_flow_learner.learning_schedule import Plan, TimeBudget
from soft_flow_learner.run_folder import Position, StageFolder
from soft_flow_learner.training.compute import ALONE, Compute
from soft_flow_learner.training_display import TrainingDisplay
from soft_flow_policy.policy import FlowPolicy

SMOOTHING = 0.98  # of the running loss that is shown and watched


class StageWork(Protocol):
    """What a stage trains.

    Attributes:
        watched: the metric that is shown, and whose running mean must not run away (a likelihood).
        divergence: how far, in its unit, above its best running mean the stage is stopped.
        evaluation_interval: updates between evaluations.
        checkpoint_interval: updates between checkpoints, or
        checkpoint_seconds: so long, whichever comes first.
    """

    watched: str
    divergence: float
    evaluation_interval: int
    checkpoint_interval: int
    checkpoint_seconds: float

    @property
    def average(self) -> FlowPolicy:
        """The policy that the stage leads to."""
        ...

    def update(self, done: int, progress: float) -> dict[str, float]:
        """Update number `done + 1`, at this progress (0..1) of the stage.

        Raises:
            DivergenceError: the stage has to stop; the weights are still those before this update.
        """
        ...

    def evaluate(self) -> dict[str, float]:
        """Measurements on held-out episodes; empty if there are none."""
        ...

    def state(self) -> dict[str, Tensor]:
        """All that `load_state` needs to go on, but for the averaged policy."""
        ...

    def load_state(self, average: dict[str, Tensor], state: dict[str, Tensor]) -> None:
        """Continue from `state()` and the averaged policy's `state_dict`."""
        ...

    def critic_graph(self) -> bytes | None:
        """The critic, as ONNX, that goes with the averaged policy; None if the stage has none."""
        ...

    def critic_weights(self) -> dict[str, Tensor] | None:
        """The same critic as weights to go on with, see `critic_state`."""
        ...

    def results(self) -> Mapping[str, Any]:
        """What the manifest of the stage's policy says beside its position."""
        ...


@dataclass(frozen=True)
class TrainingResult:
    """How a stage ended: `finished` is False when it was interrupted."""

    position: Position
    finished: bool


class LossWatch:
    """Stops a stage whose loss is not finite or runs away."""

    def __init__(self, divergence: float) -> None:
        """Allow the running loss to exceed its best value by `divergence`."""
        self._divergence = divergence
        self.running: float | None = None
        self._best = math.inf

    def see(self, update: int, watched: float, metrics: Mapping[str, float]) -> float:
        """Take in the metrics of an update, of which one is watched; returns its running mean.

        Raises:
            DivergenceError: stop; the weights are still those before this update.
        """
        advice = "resume from the last checkpoint with a lower learning rate, and look at the data"
        bad = [f"{name} {value:g}" for name, value in metrics.items() if not math.isfinite(value)]
        if bad:
            raise DivergenceError(f"update {update}: {', '.join(bad)} is not finite; {advice}")
        before = watched if self.running is None else self.running
        self.running = SMOOTHING * before + (1 - SMOOTHING) * watched
        self._best = min(self._best, self.running)
        if self.running > self._best + self._divergence:
            raise DivergenceError(
                f"update {update}: the likelihood collapses (loss {self.running:.2f} after {self._best:.2f} "
                f"nats a dimension); {advice}"
            )
        return self.running


class Trainer:
    """Runs the updates of a stage from a position to the end of its plan."""

    def __init__(
        self,
        folder: StageFolder,
        work: StageWork,
        plan: Plan,
        minutes: float | None,
        on_plan: Callable[[Plan], None],
        compute: Compute = ALONE,
    ) -> None:
        """Train into `folder`; with `minutes` the plan follows the pace, and `on_plan` records it.

        Several processes go by the clock of the first one, and stop together when one has to.
        """
        self._folder, self._work, self.plan, self._on_plan = folder, work, plan, on_plan
        self._compute = compute
        self._budget = TimeBudget(60 * minutes) if minutes is not None else None
        self._evaluation: dict[str, float] = {}

    def run(self, start: Position, stop: Callable[[], bool], display: TrainingDisplay) -> TrainingResult:
        """Train from `start` until the plan is done or `stop()` is true; both write a checkpoint.

        Raises:
            DivergenceError: a loss is not finite or runs away; the last checkpoint is untouched.
        """
        began = time.monotonic() - start.seconds
        position, saved = start, start
        watch = LossWatch(self._work.divergence)
        with self._folder.log(start.update) as log:
            while position.update < self.plan.updates and not self._compute.any(stop()):
                values, running = self._step(position.update, watch)
                position = Position(position.update + 1, self._compute.first(time.monotonic() - began))
                log.write(position.update, {**values, "seconds": position.seconds})
                self._keep_to_time(position, display)
                left = (self.plan.updates - position.update) * position.seconds / position.update
                held_out = self._evaluation.get("held_out_nll")
                display.show(position.update, self.plan.updates, running, held_out, left)
                if self._checkpoint_due(saved, position):
                    log.flush()  # a checkpoint never knows more than the log
                    self._folder.save(self._work, position)
                    saved = position
            finished = position.update >= self.plan.updates
            if finished:
                self._evaluation = self._work.evaluate()
                log.write(position.update, {**self._evaluation, "seconds": time.monotonic() - began})
        if position != saved or position.update == 0:
            self._folder.save(self._work, position)
        if finished:
            extra = {"seconds": position.seconds, **self._work.results(), **self._evaluation}
            self._folder.export(self._work, position, extra)
        return TrainingResult(position, finished)

    def _step(self, done: int, watch: LossWatch) -> tuple[dict[str, float], float]:
        """Update number `done + 1`, and the evaluation if one is due."""
        values = self._work.update(done, self.plan.progress(done))
        running = watch.see(done + 1, values[self._work.watched], values)
        if (done + 1) % self._work.evaluation_interval == 0:
            self._evaluation = self._work.evaluate()
            values = values | self._evaluation
        return values, running

    def _keep_to_time(self, position: Position, display: TrainingDisplay) -> None:
        if self._budget is None or not self._budget.looks(position.update, position.seconds):
            return
        plan = self._budget.plan(self.plan, position.update, position.seconds)
        if plan != self.plan:
            self.plan = plan
            self._on_plan(plan)
            pace = position.update / position.seconds
            display.say(
                f"{pace:.2f} updates/s: {plan.updates} updates fit into {self._budget.seconds / 60:g} minutes"
            )

    def _checkpoint_due(self, saved: Position, position: Position) -> bool:
        return (
            position.seconds - saved.seconds >= self._work.checkpoint_seconds
            or position.update - saved.update >= self._work.checkpoint_interval
        )
