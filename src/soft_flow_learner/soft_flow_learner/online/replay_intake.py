"""Episodes and corrected labels that wait for the thread that owns the replay, which takes them in."""

import threading
from collections import deque

from soft_flow_contract.errors import ContractError
from soft_flow_contract.task_specification import TaskSpecification
from soft_flow_learner.episode import EncodedEpisode, decode_episode
from soft_flow_learner.errors import EpisodeError
from soft_flow_learner.online.recent_rollouts import recent_rollouts
from soft_flow_learner.replay.replay_buffer import ReplayBuffer


class ReplayIntake:
    """Any thread brings things, with the lock held; one thread takes them in.

    Attributes:
        refused: episodes that could not be stored, with the reason.
        coming_steps: actions that wait.
        stored_steps: actions that were taken in.
        rollouts: metrics of the policy's own attempts, see `recent_rollouts`.
    """

    def __init__(
        self, buffer: ReplayBuffer, specification: TaskSpecification, lock: threading.Condition
    ) -> None:
        """Take into `buffer`; whoever reads it or the counts holds `lock`."""
        self._buffer, self._specification, self._lock = buffer, specification, lock
        self._arrived: deque[EncodedEpisode] = deque()
        self._labels: deque[tuple[str, str]] = deque()
        self.refused: deque[str] = deque(maxlen=64)
        self.coming_steps = self.stored_steps = 0
        self.rollouts = recent_rollouts(buffer.episodes)

    @property
    def waiting(self) -> bool:
        """Whether anything waits."""
        return bool(self._arrived or self._labels)

    def add(self, episode: EncodedEpisode) -> None:
        """An episode arrived."""
        self._arrived.append(episode)
        self.coming_steps += len(episode.actions)

    def correct(self, identifier: str, outcome: str) -> None:
        """An episode's label was corrected; "discard" takes it out of the replay."""
        self._labels.append((identifier, outcome))

    def take_in(self) -> bool:
        """Store what waits; whether there was anything."""
        with self._lock:
            arrived, labels = list(self._arrived), list(self._labels)
            self._arrived.clear()
            self._labels.clear()
        for record in arrived:
            self._store(record)
        for identifier, outcome in labels:
            if identifier in self._buffer:
                self._relabel(identifier, outcome)
        if arrived or labels:
            self.rollouts = recent_rollouts(self._buffer.episodes)
        return bool(arrived or labels)

    def _store(self, record: EncodedEpisode) -> None:
        """Decode an episode, which takes a while, and put it into the replay."""
        steps, stored = len(record.actions), 0
        try:
            episode = decode_episode(record, self._specification, bool(self._buffer.layout.cameras))
            with self._lock:
                self._buffer.add(episode, record.source)
            stored = steps
        except (EpisodeError, ContractError) as error:
            self.refused.append(f"episode {record.identifier}: {error}")
        with self._lock:
            self.coming_steps -= steps
            self.stored_steps += stored

    def _relabel(self, identifier: str, outcome: str) -> None:
        with self._lock:
            if outcome == "discard":
                self._buffer.remove(identifier)
            else:
                self._buffer.relabel(identifier, outcome)
