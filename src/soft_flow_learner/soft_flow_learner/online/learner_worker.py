"""Learns in a thread of its own while episodes arrive: takes them in between updates, within a budget."""

import threading
import time
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol

from soft_flow_contract.errors import ContractError
from soft_flow_learner.episode import EncodedEpisode, decode_episode
from soft_flow_learner.errors import EpisodeError, LearnerError
from soft_flow_learner.replay.replay_buffer import ReplayBuffer
from soft_flow_learner.training.reinforcement_work import ReinforcementWork

IDLE_WAIT = 0.2  # s between looks at the clock while there is nothing to do
RUNNING_MEAN = 0.98


@dataclass(frozen=True)
class Budget:
    """How much may be learned, and how often the result goes out.

    Attributes:
        updates_per_transition: updates that every transition that arrived allows.
        first_updates: allowed from the start, such as offline RL on the bags that are there.
        largest: updates of the whole run; 0: no limit.
        publish_seconds: between weights that are handed on.
        save_seconds: between checkpoints.
    """

    updates_per_transition: float = 1.0
    first_updates: int = 0
    largest: int = 0
    publish_seconds: float = 5.0
    save_seconds: float = 60.0


@dataclass(frozen=True)
class LearnerStatus:
    """What the worker is doing.

    Attributes:
        updates: since the run began, earlier starts included.
        pending: updates that the budget still allows.
        steps: actions in the replay.
        episodes: in the replay.
        metrics: running means.
        problem: why it stopped, empty while it learns.
    """

    updates: int
    pending: int
    steps: int
    episodes: int
    metrics: dict[str, float]
    problem: str


class Store(Protocol):
    """Where the worker keeps itself."""

    def save(self, work: ReinforcementWork, updates: int, seconds: float) -> None:
        """Write a checkpoint."""
        ...


class LearnerWorker:
    """Owns replay and algorithm: only its thread touches them."""

    def __init__(
        self,
        work: ReinforcementWork,
        buffer: ReplayBuffer,
        budget: Budget,
        store: Store,
        updates: int,
        on_weights: Callable[[int], None],
        on_change: Callable[[], None],
    ) -> None:
        """Learn on `buffer` with `work`, which did `updates` updates before.

        Args:
            work: of the stage.
            buffer: with the episodes that are there from the start.
            budget: of updates.
            store: of checkpoints.
            updates: done before.
            on_weights: called in the worker's thread with the version when weights should go out; it has to
                copy the averaged policy before it returns.
            on_change: called in the worker's thread when an episode was taken or the work ended.
        """
        self._work, self._buffer, self._budget, self._store = work, buffer, budget, store
        self._on_weights, self._on_change = on_weights, on_change
        self._changed = threading.Condition()
        self._arrived: deque[EncodedEpisode] = deque()
        self._labels: deque[tuple[str, str]] = deque()
        self._allowed = float(updates + budget.first_updates)
        self._updates, self._began_with = updates, updates
        self._metrics: dict[str, float] = {}
        self._problem, self._stopping, self._save_asked = "", False, False
        self.refused: deque[str] = deque(maxlen=64)  # episodes that could not be stored, with the reason
        self._thread = threading.Thread(target=self._run, name="learner", daemon=True)

    def start(self) -> None:
        """Begin to learn."""
        self._thread.start()

    def take(self, episode: EncodedEpisode) -> None:
        """An episode arrived; it is decoded and stored between two updates."""
        with self._changed:
            self._arrived.append(episode)
            self._changed.notify()

    def relabel(self, identifier: str, outcome: str) -> None:
        """An episode's label was corrected; "discard" takes it out of the replay."""
        with self._changed:
            self._labels.append((identifier, outcome))
            self._changed.notify()

    def save(self) -> None:
        """Write a checkpoint soon."""
        with self._changed:
            self._save_asked = True
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

    @property
    def done(self) -> bool:
        """Whether the whole run's updates are done."""
        return bool(self._budget.largest) and self._updates >= self._budget.largest

    def status(self) -> LearnerStatus:
        """What it is doing now; for any thread."""
        with self._changed:
            episodes = self._buffer.episodes
            return LearnerStatus(
                updates=self._updates,
                pending=max(0, int(self._limit()) - self._updates),
                steps=sum(episode.length for episode in episodes),
                episodes=len(episodes),
                metrics=dict(self._metrics),
                problem=self._problem,
            )

    def _limit(self) -> float:
        largest = self._budget.largest or float("inf")
        return min(self._allowed, largest)

    def _run(self) -> None:
        published = saved = time.monotonic()
        self._on_weights(self._updates)
        while True:
            self._take_in()
            working = not self._problem and self._buffer.episodes and self._updates + 1 <= self._limit()
            if working:
                self._update()
            now = time.monotonic()
            if self._updates > self._began_with and (
                now - published > self._budget.publish_seconds or (self.done and working)
            ):
                self._on_weights(self._updates)
                published = now
            with self._changed:
                stopping, asked = self._stopping, self._save_asked
                self._save_asked = False
            if (
                stopping
                or asked
                or (working and now - saved > self._budget.save_seconds)
                or self.done
                and working
            ):
                self._store.save(self._work, self._updates, now)
                saved = now
                self._on_change()
            if stopping:
                return
            if not working:
                with self._changed:
                    if not (self._arrived or self._labels or self._stopping or self._save_asked):
                        self._changed.wait(IDLE_WAIT)

    def _update(self) -> None:
        try:
            metrics = self._work.update(self._updates, 0.0)
        except LearnerError as alarm:
            with self._changed:
                self._problem = str(alarm)
            self._on_change()
            return
        with self._changed:
            self._updates += 1
            for name, value in metrics.items():
                before = self._metrics.get(name, value)
                self._metrics[name] = RUNNING_MEAN * before + (1 - RUNNING_MEAN) * value

    def _take_in(self) -> None:
        with self._changed:
            arrived, labels = list(self._arrived), list(self._labels)
            self._arrived.clear()
            self._labels.clear()
        specification = self._work.average.specification
        for record in arrived:
            try:
                images = bool(self._buffer.layout.cameras)
                episode = decode_episode(record, specification, images)
                with self._changed:
                    self._buffer.add(episode, record.source)
                    self._allowed += len(episode) * self._budget.updates_per_transition
            except (EpisodeError, ContractError) as error:
                self.refused.append(f"episode {record.identifier}: {error}")
        for identifier, outcome in labels:
            if identifier not in self._buffer:
                continue
            with self._changed:
                if outcome == "discard":
                    self._buffer.remove(identifier)
                else:
                    self._buffer.relabel(identifier, outcome)
        if arrived or labels:
            self._on_change()
