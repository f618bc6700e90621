"""Chunks of the policy: which are accepted, and which step of one belongs to a tick."""

from collections import Counter
from dataclasses import dataclass

import numpy as np


@dataclass(frozen=True)
class Chunk:
    """Actions for the ticks from `stamp_ns` on.

    Attributes:
        stamp_ns: tick of the observation that it was planned from; its first action belongs to this tick.
        actions: (T, A) contract space.
    """

    stamp_ns: int
    chunk_id: int
    policy_version: int
    epoch: int
    actions: np.ndarray


@dataclass(frozen=True)
class ChunkStep:
    """One action of a chunk; `action` is None where the whole chunk was refused, which is held."""

    chunk: Chunk
    index: int
    action: np.ndarray | None


class ChunkPlayer:
    """Keeps the newest chunk and gives the step that belongs to a tick; expired steps are never shifted."""

    def __init__(self, action_dimension: int, executed_steps: int, dt_ns: int) -> None:
        """Play at most `executed_steps` of each chunk of (T, `action_dimension`) actions."""
        self._dimension, self._executed_steps, self._dt_ns = action_dimension, executed_steps, dt_ns
        self._epoch = self._epoch_start_ns = 0
        self._chunk: Chunk | None = None
        self._playable = False
        self.refused: Counter[str] = Counter()

    def begin(self, epoch: int, start_ns: int) -> None:
        """Forget the chunk; take those of `epoch` planned from observations not older than `start_ns`."""
        self._epoch, self._epoch_start_ns, self._chunk = epoch, start_ns, None

    def accept(self, chunk: Chunk) -> str:
        """Take a chunk. Returns why it was refused, or an empty text."""
        reason = self._why_foreign(chunk) or self._why_invalid(chunk)
        if reason:
            self.refused[reason] += 1
        return reason

    def _why_foreign(self, chunk: Chunk) -> str:
        if chunk.epoch != self._epoch:
            return "of another epoch"
        if chunk.stamp_ns < self._epoch_start_ns:
            return "planned before the epoch's start"
        if chunk.stamp_ns % self._dt_ns:
            return "stamp is not a tick"
        if self._chunk is not None and chunk.stamp_ns < self._chunk.stamp_ns:
            return "older than the chunk in use"
        return ""

    def _why_invalid(self, chunk: Chunk) -> str:
        """Checks values, and keeps the chunk: as one to play, or as one whose ticks are held."""
        actions = chunk.actions
        self._chunk, self._playable = chunk, False
        if actions.ndim != 2 or actions.shape[1] != self._dimension or len(actions) < self._executed_steps:
            return "wrong shape"
        if not np.all(np.isfinite(actions)):
            return "not finite"
        self._playable = True
        return ""

    def step(self, stamp_ns: int) -> ChunkStep | None:
        """The step for the tick `stamp_ns`; None if no chunk holds one."""
        if self._chunk is None:
            return None
        index = (stamp_ns - self._chunk.stamp_ns) // self._dt_ns
        if not 0 <= index < self._executed_steps:
            return None
        action = np.asarray(self._chunk.actions[index], dtype=np.float64) if self._playable else None
        return ChunkStep(self._chunk, int(index), action)
