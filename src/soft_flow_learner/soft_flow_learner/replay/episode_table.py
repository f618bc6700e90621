"""The stored episodes as arrays, so that questions about many rows are answered at once."""

import numpy as np
from scipy.signal import lfilter

from soft_flow_learner.errors import LearnerError
from soft_flow_learner.replay.data_filter import DataFilter
from soft_flow_learner.replay.replay_buffer import ReplayBuffer


class EpisodeTable:
    """A snapshot of a buffer's episodes, E of them in order of arrival; stale when the buffer changes.

    Attributes:
        version: of the buffer when it was made.
        first: (E,) first rows.
        length: (E,) actions.
        last: (E,) rows of the last observations.
        terminal: (E,) whether the last action ended the task.
    """

    def __init__(self, buffer: ReplayBuffer) -> None:
        self.version = buffer.version
        self._episodes = buffer.episodes
        self.first = np.array([episode.first_row for episode in self._episodes], dtype=np.int64)
        self.length = np.array([episode.length for episode in self._episodes], dtype=np.int64)
        self.terminal = np.array([episode.terminal for episode in self._episodes], dtype=bool)
        self.last = self.first + self.length
        self._by_row = np.argsort(self.first)
        self._sorted_first = self.first[self._by_row]
        self._actions_up_to = np.cumsum(self.length)
        self._admitted: dict[DataFilter, np.ndarray] = {}
        self._rewards = buffer.steps.reward
        self._returns: dict[float, np.ndarray] = {}

    def admitted(self, data: DataFilter) -> np.ndarray:
        """Whether each episode (E,) passes a filter."""
        if data not in self._admitted:
            passes = [data.admits(episode) for episode in self._episodes]
            self._admitted[data] = np.array(passes, dtype=bool)
        return self._admitted[data]

    def locate(self, rows: np.ndarray) -> np.ndarray:
        """Indices (B,) of the episodes whose actions are in `rows` (B,).

        Raises:
            LearnerError: a row holds no action.
        """
        if not len(self._by_row):
            raise LearnerError("the replay is empty: no row holds an action")
        place = np.searchsorted(self._sorted_first, rows, side="right") - 1
        episodes = self._by_row[np.maximum(place, 0)]
        wrong = (place < 0) | (rows >= self.last[episodes])
        if wrong.any():
            raise LearnerError(
                f"row {int(rows[wrong][0])} holds no action; ask for starts anew after the replay changed"
            )
        return episodes

    def returns(self, gamma: float) -> np.ndarray:
        """For every row of the buffer, sum_k gamma^k r_(t+k) to the end of its episode, float32."""
        if gamma not in self._returns:
            returns = np.zeros(len(self._rewards), dtype=np.float32)
            for first, last in zip(self.first, self.last, strict=True):
                backwards = self._rewards[first:last][::-1]
                returns[first:last] = lfilter([1.0], [1.0, -gamma], backwards)[::-1]
            self._returns[gamma] = returns
        return self._returns[gamma]

    def random_action_rows(self, count: int, generator: np.random.Generator) -> np.ndarray:
        """Rows (count,) of actions, drawn uniformly from all that are stored."""
        numbers = generator.integers(self._actions_up_to[-1], size=count)
        episodes = np.searchsorted(self._actions_up_to, numbers, side="right")
        return self.last[episodes] - (self._actions_up_to[episodes] - numbers)
