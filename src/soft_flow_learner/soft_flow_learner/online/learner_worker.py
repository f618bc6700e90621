"""Learns in a thread of its own while episodes arrive: takes them in between updates, within a budget."""

import threading
import time
from collections import deque
from collections.abc import Callable

from soft_flow_contract.errors import ContractError
from soft_flow_learner.episode import EncodedEpisode
from soft_flow_learner.errors import LearnerError
from soft_flow_learner.online.replay_intake import ReplayIntake
from soft_flow_learner.online.stage_task import StageTask
from soft_flow_learner.online.worker_interface import Budget, LearnerRun, LearnerStatus

IDLE_WAIT = 0.2  # s between looks at the clock while there is nothing to do
RUNNING_MEAN = 0.98


class LearnerWorker:
    """Owns replay and algorithm: only its thread touches them.

    Attributes:
        finished: whether all stages are over, published and saved.
    """

    def __init__(
        self,
        run: LearnerRun,
        budget: Budget,
        on_weights: Callable[[int], None],
        on_change: Callable[[], None],
        at_once: bool = True,
    ) -> None:
        """Learn the stages of `run`.

        Args:
            run: its replay holds the episodes that are there from the start.
            budget: of online updates. It counts from the beginning of the run, recorded episodes included: a
                learner that comes back catches up, and does nothing twice.
            on_weights: called in the worker's thread with the version when weights should go out; it has to
                copy the averaged policy before it returns.
            on_change: called in the worker's thread when episodes were taken, it comes to rest, or it stops.
            at_once: begin with the first stage; otherwise when `begin` is called.

        Raises:
            LearnerError: there is nothing to begin with.
        """
        self._run, self._buffer, self._budget = run, run.buffer, budget
        self._on_weights, self._on_change = on_weights, on_change
        self._changed = threading.Condition()
        self._intake = ReplayIntake(run.buffer, run.specification, self._changed)
        self._allowed = budget.first_updates + run.recorded_steps * budget.updates_per_transition
        self._task: StageTask | None = None
        self._updates, self._seconds, self._version = 0, 0.0, run.version
        self._published_version = self._saved_version = run.version
        self._exported_version = -1  # not known: an earlier start may have been killed before it exported
        self._published_at = self._saved_at = time.monotonic()
        self._metrics: dict[str, float] = {}
        self._problem, self._stopping, self._save_asked = "", False, False
        self._begun, self._at_rest, self.finished = at_once, False, False
        if at_once:
            self._adopt(run.next_task())
        self._thread = threading.Thread(target=self._work, name="learner", daemon=True)

    # For other threads

    @property
    def refused(self) -> deque[str]:
        """Episodes that could not be stored, with the reason; whoever tells of them takes them out."""
        return self._intake.refused

    def start(self) -> None:
        """Start the thread."""
        self._thread.start()

    def begin(self) -> None:
        """Begin with the first stage, after all that arrived until now was taken in."""
        with self._changed:
            self._begun = True
            self._wake()

    def take(self, episode: EncodedEpisode) -> None:
        """An episode arrived; it is decoded and stored between two updates."""
        with self._changed:
            self._intake.add(episode)
            self._wake()

    def relabel(self, identifier: str, outcome: str) -> None:
        """An episode's label was corrected; "discard" takes it out of the replay."""
        with self._changed:
            self._intake.correct(identifier, outcome)
            self._wake()

    def save(self) -> None:
        """Write a checkpoint soon."""
        with self._changed:
            self._save_asked = True
            self._wake()

    def _wake(self) -> None:
        self._at_rest = False
        self._changed.notify()

    def stop(self, timeout: float = 30.0) -> bool:
        """Finish the update, save, end the thread; returns whether it ended in time."""
        with self._changed:
            self._stopping = True
            self._changed.notify()
        if self._thread.ident is None:
            return True
        self._thread.join(timeout)
        return not self._thread.is_alive()

    def status(self) -> LearnerStatus:
        """What it is doing now."""
        with self._changed:
            episodes = self._buffer.episodes
            limit = self._limit(self._intake.coming_steps)
            pending = 0 if limit == float("inf") else max(0, int(limit) - self._updates)
            return LearnerStatus(
                stage=self._task.name if self._task else "",
                updates=self._updates,
                pending=pending,
                at_rest=self._at_rest,
                steps=sum(episode.length for episode in episodes),
                episodes=len(episodes),
                metrics=dict(self._metrics),
                problem=self._problem,
            )

    # In the worker's thread

    def _limit(self, coming_steps: int = 0) -> float:
        """Updates of the stage that may be done now, or once so many more steps are stored."""
        if self._task is None:
            return 0.0
        largest = float("inf") if self._task.largest is None else self._task.largest
        return min(largest, self._allowed + self._earned(coming_steps)) if self._task.paced else largest

    def _earned(self, coming_steps: int = 0) -> float:
        """Updates that what arrived allows."""
        return (self._intake.stored_steps + coming_steps) * self._budget.updates_per_transition

    def _work(self) -> None:
        try:
            self._learn()
        except Exception as error:  # a thread that ends unheard would leave a node that looks alive
            with self._changed:
                self._problem = f"{type(error).__name__}: {error}"
            self._on_change()
            raise
        finally:
            self._close_log()

    def _close_log(self) -> None:
        if self._task is not None:
            self._task.log.close()

    def _learn(self) -> None:
        self._publish()
        while not self._stopping:
            if self._intake.take_in():
                self._on_change()
            if self._save_asked:
                self._save_as_asked()
            if self._problem:
                self._wait()
            elif self._task is None:
                if self._begun and not self.finished:
                    self._enter_next_stage()
                else:
                    self._rest()
            elif self._task.over(self._updates):
                self._leave_behind()
                self._enter_next_stage()
            elif self._buffer.episodes and self._updates + 1 <= self._limit():
                self._update()
                self._keep_up()
            else:
                self._leave_behind()
                self._rest()
        if not self._problem:  # after an alarm the checkpoint before it is worth more
            self._leave_behind()

    def _enter_next_stage(self) -> None:
        try:
            task = self._run.next_task()
        except (LearnerError, ContractError) as error:
            self._stop_learning(str(error))
        else:
            self._adopt(task)

    def _adopt(self, task: StageTask | None) -> None:
        self._close_log()
        with self._changed:
            self._task = task
            self.finished = task is None
            if task is not None:
                self._updates, self._seconds = task.done, task.seconds
                self._allowed = max(self._allowed, task.done - self._earned())
                self._version = self._saved_version = task.version_before + task.done

    def _update(self) -> None:
        assert self._task is not None
        began = time.monotonic()
        try:
            metrics = self._task.work.update(self._updates, 0.0)
        except LearnerError as alarm:
            self._stop_learning(str(alarm))
            return
        with self._changed:
            self._updates += 1
            self._version += 1
            self._seconds += time.monotonic() - began
            for name, value in metrics.items():
                before = self._metrics.get(name, value)
                self._metrics[name] = RUNNING_MEAN * before + (1 - RUNNING_MEAN) * value
        self._task.log.write(self._updates, {**metrics, **self._intake.rollouts, "seconds": self._seconds})

    def _stop_learning(self, problem: str) -> None:
        if self._task is not None:
            self._task.log.flush()  # what led to it can be read
        with self._changed:
            self._problem = problem
        self._on_change()

    def _keep_up(self) -> None:
        """Between updates: publish and save when it is time."""
        now = time.monotonic()
        if now - self._published_at > self._budget.publish_seconds:
            self._publish()
        if now - self._saved_at > self._budget.save_seconds:
            self._save()

    def _leave_behind(self) -> None:
        """Publish and save what came of the updates."""
        if self._version != self._published_version:
            self._publish()
        if self._version != self._saved_version:
            self._save()
        if self._task is not None and self._version != self._exported_version:
            self._export()

    def _publish(self) -> None:
        self._on_weights(self._version)
        self._published_version, self._published_at = self._version, time.monotonic()

    def _save_as_asked(self) -> None:
        with self._changed:
            self._save_asked = False
        if self._task is not None and not self._problem:
            self._save()
            self._export()
            self._on_change()

    def _save(self) -> None:
        assert self._task is not None
        self._run.save(self._task, self._updates, self._seconds)
        self._saved_version, self._saved_at = self._version, time.monotonic()

    def _export(self) -> None:
        assert self._task is not None
        self._run.export(self._task, self._updates, self._seconds)
        self._exported_version = self._version

    def _rest(self) -> None:
        with self._changed:
            at_rest = not (self._intake.waiting or self._save_asked)
            news = at_rest and not self._at_rest
            self._at_rest = at_rest
        if news:
            self._on_change()
        self._wait()

    def _wait(self) -> None:
        with self._changed:
            if not (self._intake.waiting or self._stopping or self._save_asked):
                self._changed.wait(IDLE_WAIT)
