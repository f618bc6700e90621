"""Windows of the replay: what was observed, the chunk that followed, what it earned and where it led."""

from collections.abc import Sequence
from dataclasses import dataclass, fields
from typing import Any

import numpy as np

from soft_flow_learner.errors import LearnerError
from soft_flow_learner.replay.data_filter import ALL_DATA, DataFilter
from soft_flow_learner.replay.episode_table import EpisodeTable
from soft_flow_learner.replay.feature_cache import FeatureCache, ImageEncoding
from soft_flow_learner.replay.replay_buffer import ReplayBuffer


@dataclass(frozen=True)
class TransitionBatch:
    """B windows: from step t on, m = min(h, steps to the end of the episode) actions were executed.

    Attributes:
        rows: (B,) int64 of t.
        proprioception: (B, P) float32 of o_t.
        images: camera name -> (B, height, width, 3) uint8 of o_t; empty if they were not asked for.
        chunk: (B, T, A) float32, contract space; past the end of the episode the action that holds still.
        executed: (B, h, A) float32, the first h of the chunk; past the end random actions of the data, so
            that a value cannot come to depend on them.
        next_proprioception: (B, P) float32 of o_(t+m).
        next_images: as `images`, of o_(t+m).
        reward: (B,) float32, sum_(k<m) gamma^k r_(t+k).
        bootstrap: (B,) float32, gamma^m (1 - d); d = 1 if the task ended within the window (if
            time was up, d = 0).
        steps: (B,) int64, m.
        imitated: (B,) float32, 1 where the episode passes the filter of what is imitated.
        future: (B, F, P) float32, proprioception some steps after t, or the last one of the episode.
        observed_return: (B,) float32, sum_k gamma^k r_(t+k) to the end of the episode.
        image_features: (B, G) float32, what an encoding made of the images of o_t; None without one.
        next_image_features: as `image_features`, of o_(t+m).
    """

    rows: np.ndarray
    proprioception: np.ndarray
    images: dict[str, np.ndarray]
    chunk: np.ndarray
    executed: np.ndarray
    next_proprioception: np.ndarray
    next_images: dict[str, np.ndarray]
    reward: np.ndarray
    bootstrap: np.ndarray
    steps: np.ndarray
    imitated: np.ndarray
    future: np.ndarray
    observed_return: np.ndarray
    image_features: np.ndarray | None = None
    next_image_features: np.ndarray | None = None

    def part(
        self, rows: slice, images: dict[str, np.ndarray], next_images: dict[str, np.ndarray]
    ) -> "TransitionBatch":
        """Some of the windows, with these images."""
        arrays = {
            field.name: getattr(self, field.name)
            for field in fields(self)
            if field.name not in ("images", "next_images")
        }
        parts: dict[str, Any] = {
            name: None if array is None else array[rows] for name, array in arrays.items()
        }
        return TransitionBatch(images=images, next_images=next_images, **parts)


class ChunkWindows:
    """Cuts windows out of a buffer. They never reach into another episode.

    Attributes:
        features: what image encoders made of the buffer's images.
    """

    def __init__(
        self, buffer: ReplayBuffer, length: int, executed: int, gamma: float, aligned: bool = False
    ) -> None:
        """Cut chunks of `length` T actions of which `executed` h count for values.

        Args:
            buffer: the replay.
            length: T.
            executed: h <= T.
            gamma: discount of a step.
            aligned: start only every h steps, where chunks were executed, instead of at every step.

        Raises:
            LearnerError: h or gamma is out of range.
        """
        if not 1 <= executed <= length:
            raise LearnerError(f"executed: expected 1 to {length} (the chunk's length), got {executed}")
        if not 0 < gamma <= 1:
            raise LearnerError(f"gamma: expected above 0 and at most 1, got {gamma:g}")
        self.buffer, self.length, self.executed = buffer, length, executed
        self.gamma, self.aligned = gamma, aligned
        self._discounts = gamma ** np.arange(executed + 1)
        self._changes = np.array(buffer.layout.changes, dtype=bool)
        self._table = EpisodeTable(buffer)
        self.features = FeatureCache(buffer)

    @property
    def _current_table(self) -> EpisodeTable:
        if self._table.version != self.buffer.version:
            self._table = EpisodeTable(self.buffer)
        return self._table

    def starts(self, data: DataFilter, complete: bool = True) -> np.ndarray:
        """Rows (S,) int64 at which a window may start, episode by episode in order of arrival.

        Args:
            data: which episodes.
            complete: True, for values: leave out windows that were cut short by anything but the task's end,
                for what their other actions would have led to is unknown. False: every action is a start.
        """
        table = self._current_table
        admitted = table.admitted(data)
        first, length = table.first[admitted], table.length[admitted]
        if complete:  # of truncated episodes t + h <= N
            truncated = ~table.terminal[admitted]
            length = np.where(truncated, np.maximum(length - self.executed + 1, 0), length)
        stride = self.executed if self.aligned else 1
        counts = -(-length // stride)
        index = np.arange(counts.sum()) - np.repeat(np.cumsum(counts) - counts, counts)
        return np.repeat(first, counts) + stride * index

    def batch(
        self,
        rows: np.ndarray,
        generator: np.random.Generator,
        imitated: DataFilter = ALL_DATA,
        future_steps: Sequence[int] = (),
        next_observation: bool = True,
        images: bool = True,
        encoding: ImageEncoding | None = None,
    ) -> TransitionBatch:
        """Gather the windows that start at `rows` (B,).

        Args:
            rows: from `starts`.
            generator: draws the actions after the end of an episode.
            imitated: which episodes are marked as imitated.
            future_steps: F numbers of steps after which proprioception is foreseen.
            next_observation: False leaves out the images of the next observations.
            images: False leaves out all images.
            encoding: whose features of the images are gathered; they are computed once an episode.

        Raises:
            LearnerError: a row holds no action.
        """
        table, steps = self._current_table, self.buffer.steps
        rows = np.asarray(rows, dtype=np.int64)
        episodes = table.locate(rows)
        last = table.last[episodes]
        m = np.minimum(self.executed, last - rows)
        next_rows = rows + m
        chunk = self._chunk(rows, last)
        later = np.minimum(rows[:, None] + np.asarray(future_steps, dtype=np.int64), last[:, None])
        ended = table.terminal[episodes] & (next_rows == last)
        moments = [rows, next_rows] if next_observation else [rows]
        now, *after = self._images(moments) if images else ({},)
        seen = self.features.at(np.stack([rows, next_rows]), encoding) if encoding else (None, None)
        return TransitionBatch(
            rows=rows,
            proprioception=steps.proprioception[rows],
            images=now,
            chunk=chunk,
            executed=self._executed(chunk, m, generator),
            next_proprioception=steps.proprioception[next_rows],
            next_images=after[0] if after else {},
            reward=self._reward(rows, m),
            bootstrap=np.where(ended, 0.0, self._discounts[m]).astype(np.float32),
            steps=m,
            imitated=table.admitted(imitated)[episodes].astype(np.float32),
            future=steps.proprioception[later],
            observed_return=table.returns(self.gamma)[rows],
            image_features=seen[0],
            next_image_features=seen[1],
        )

    def _images(self, moments: Sequence[np.ndarray]) -> list[dict[str, np.ndarray]]:
        """Images at several rows (B,), camera by camera.

        They share one large allocation, for which NumPy asks for huge pages: first touches of many small
        pages would take several times as long as the copies.
        """
        stacks = self.buffer.steps.images
        sizes = [rows.size * stack[0].size for rows in moments for stack in stacks.values()]
        parts = iter(np.split(np.empty(sum(sizes), dtype=np.uint8), np.cumsum(sizes)[:-1]))
        gathered: list[dict[str, np.ndarray]] = [{} for _ in moments]
        for rows, images in zip(moments, gathered, strict=True):
            for name, stack in stacks.items():
                images[name] = next(parts).reshape(len(rows), *stack.shape[1:])
                np.take(stack, rows, axis=0, out=images[name], mode="clip")  # "raise" would copy once more
        return gathered

    def _chunk(self, rows: np.ndarray, last: np.ndarray) -> np.ndarray:
        """Actions (B, T, A) from `rows` on; from `last` on no change, and the last absolute targets."""
        places = rows[:, None] + np.arange(self.length)
        chunk = self.buffer.steps.action[np.minimum(places, last[:, None] - 1)]
        past = places >= last[:, None]
        chunk[past[:, :, None] & self._changes] = 0.0
        return chunk

    def _executed(self, chunk: np.ndarray, m: np.ndarray, generator: np.random.Generator) -> np.ndarray:
        executed = chunk[:, : self.executed].copy()
        past = np.arange(self.executed) >= m[:, None]
        drawn = self._current_table.random_action_rows(int(past.sum()), generator)
        executed[past] = self.buffer.steps.action[drawn]
        return executed

    def _reward(self, rows: np.ndarray, m: np.ndarray) -> np.ndarray:
        k = np.arange(self.executed)
        within = k < m[:, None]
        rewards = self.buffer.steps.reward[np.where(within, rows[:, None] + k, rows[:, None])]
        return (np.where(within, rewards, 0.0) @ self._discounts[:-1]).astype(np.float32)
