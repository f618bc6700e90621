"""Storage of episodes for training: flat index over all actions, chunks cut when they are asked for."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from soft_flow_contract.task_specification import TaskSpecification
from soft_flow_learner.episode import Episode
from soft_flow_learner.errors import NoDataError

ARM_DIMENSIONS = 6  # changes of the flange target; the rest of an action are absolute hand targets


@dataclass(frozen=True)
class ChunkBatch:
    """Observations and the chunks of actions that followed them.

    Attributes:
        images: camera name -> (B, height, width, 3) uint8.
        proprioception: (B, P) float32.
        chunk: (B, T, A) float32, contract space.
        future: (B, F, P) float32, proprioception so many steps later (or at the end of the episode).
    """

    images: dict[str, np.ndarray]
    proprioception: np.ndarray
    chunk: np.ndarray
    future: np.ndarray


def pad_with_hold(actions: np.ndarray, length: int) -> np.ndarray:
    """Actions (N, A) and length - 1 hold actions: no change of the arm, the hand's last absolute target.

    With them a chunk of `length` can be cut at every action; one past the end of its episode stays put.
    """
    hold = actions[-1].copy()
    hold[:ARM_DIMENSIONS] = 0.0
    return np.concatenate([actions, np.repeat(hold[None], length - 1, axis=0)])


class EpisodeStore:
    """Episodes in memory; rows are their actions, numbered through: a row is a place to cut a chunk."""

    def __init__(self, episodes: Sequence[Episode], specification: TaskSpecification) -> None:
        """Index `episodes` for chunks of the specification's length.

        Raises:
            NoDataError: there are no episodes.
        """
        if not episodes:
            raise NoDataError(
                "no episodes to train on; collect some first, or see above why the bags were not used"
            )
        self.episodes = tuple(episodes)
        self.chunk_length = specification.chunk.length
        lengths = np.array([len(episode) for episode in episodes])
        self._episode_of_row = np.repeat(np.arange(len(episodes)), lengths)
        self._step_of_row = np.concatenate([np.arange(length) for length in lengths])
        padded = [pad_with_hold(episode.record.actions, self.chunk_length) for episode in episodes]
        self._padded_actions = np.concatenate(padded)
        starts = np.cumsum([0, *(len(actions) for actions in padded[:-1])])
        self._action_of_row = starts[self._episode_of_row] + self._step_of_row

    def __len__(self) -> int:
        """Number of rows."""
        return len(self._step_of_row)

    @property
    def camera_names(self) -> tuple[str, ...]:
        """Cameras whose images are stored."""
        return tuple(self.episodes[0].images)

    def place(self, row: int) -> tuple[int, int]:
        """Index of the episode of a row, and the step in it."""
        return int(self._episode_of_row[row]), int(self._step_of_row[row])

    def chunks(self, rows: np.ndarray) -> np.ndarray:
        """Chunks (B, T, A) that start at `rows` (B,); they never reach into another episode."""
        return self._padded_actions[self._action_of_row[rows][:, None] + np.arange(self.chunk_length)]

    def proprioception(self, rows: np.ndarray) -> np.ndarray:
        """Proprioception (B, P) at `rows`."""
        places = zip(self._episode_of_row[rows], self._step_of_row[rows], strict=True)
        return np.stack([self.episodes[episode].record.proprioception[step] for episode, step in places])

    def future(self, rows: np.ndarray, steps: Sequence[int]) -> np.ndarray:
        """Proprioception (B, F, P) `steps` (F,) after `rows` (B,), or the last one of the episode."""
        episodes = [self.episodes[index] for index in self._episode_of_row[rows]]
        later = self._step_of_row[rows][:, None] + np.asarray(steps, dtype=int)
        return np.stack(
            [
                episode.record.proprioception[np.minimum(step, len(episode))]
                for episode, step in zip(episodes, later, strict=True)
            ]
        )

    def batch(self, rows: np.ndarray, future_steps: Sequence[int] = ()) -> ChunkBatch:
        """Gather `rows` (B,), with what proprioception was `future_steps` later."""
        episode_of, step_of = self._episode_of_row[rows], self._step_of_row[rows]
        images = {}
        for name in self.camera_names:
            shape = self.episodes[0].images[name].shape[1:]
            images[name] = np.empty((len(rows), *shape), dtype=np.uint8)
            for index, (episode, step) in enumerate(zip(episode_of, step_of, strict=True)):
                images[name][index] = self.episodes[episode].images[name][step]
        return ChunkBatch(
            images, self.proprioception(rows), self.chunks(rows), self.future(rows, future_steps)
        )
