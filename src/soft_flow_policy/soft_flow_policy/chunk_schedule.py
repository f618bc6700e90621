"""When the policy plans, and with which noise: pure rules, free of ROS."""

from dataclasses import dataclass

import numpy as np


def sampling_noise(seed: int, stamp_ns: int, length: int, dimension: int, candidate: int = 0) -> np.ndarray:
    """Standard normal noise (length, dimension) float32: a pure function of seed and observation stamp.

    A chunk therefore does not depend on how often, or when, the policy was asked. Several candidates for one
    observation are numbered; the first one is what a policy with a single candidate draws.
    """
    # A key, not a third word of entropy: that would meet the words of other stamps.
    key = (candidate,) if candidate else ()
    generator = np.random.Generator(np.random.Philox(np.random.SeedSequence([seed, stamp_ns], spawn_key=key)))
    return generator.standard_normal((length, dimension), dtype=np.float32)


@dataclass(frozen=True)
class Epoch:
    """The arbiter's epoch, as its state tells it.

    start_ns: chunks from older observations are refused.
    """

    number: int
    start_ns: int


class ChunkCounter:
    """Numbers chunks 1, 2, ... within their epoch.

    Not over all epochs: whether the final observation of the last one was still planned for is chance.
    """

    def __init__(self) -> None:
        """No chunk yet."""
        self._epoch, self._number = 0, 0

    def next(self, epoch: int) -> int:
        """Number of the next chunk of an epoch."""
        self._number = self._number + 1 if epoch == self._epoch else 1
        self._epoch = epoch
        return self._number


class ChunkSchedule:
    """Decides for every observation whether a new chunk is due.

    It is due when the epoch is new, when the executed steps of the last chunk have passed, and when the
    stamps of observations jumped; never for an observation older than the epoch, nor without an epoch.
    """

    def __init__(self, dt_ns: int, executed_steps: int) -> None:
        """Ticks of `dt_ns` nanoseconds, `executed_steps` of a chunk."""
        self._dt_ns, self.executed_steps = dt_ns, executed_steps
        self._epoch: Epoch | None = None
        self._newest: int | None = None  # stamp of the newest observation
        self._planned: tuple[int, int] | None = None  # epoch number and observation stamp of the last chunk
        self._jumped = False

    @property
    def epoch(self) -> Epoch | None:
        """The arbiter's current epoch; None while it is not known, or not the policy that acts."""
        return self._epoch

    def enter_epoch(self, epoch: Epoch | None) -> None:
        """Take over the arbiter's epoch; None: the policy does not act."""
        self._epoch = epoch

    def observe(self, stamp_ns: int) -> None:
        """Take note of an observation."""
        if self._newest is not None and stamp_ns != self._newest + self._dt_ns:
            self._jumped = True
        self._newest = stamp_ns

    def is_due(self) -> bool:
        """Whether a chunk has to be planned from the newest observation."""
        if self._epoch is None or self._newest is None or self._newest < self._epoch.start_ns:
            return False
        if self._planned is None or self._planned[0] != self._epoch.number:
            return True
        elapsed = self._newest - self._planned[1]
        return elapsed != 0 and (self._jumped or elapsed >= self.executed_steps * self._dt_ns)

    def planned(self) -> None:
        """A chunk was published for the newest observation and the current epoch."""
        assert self._epoch is not None and self._newest is not None
        self._planned = (self._epoch.number, self._newest)
        self._jumped = False

    def restart(self) -> None:
        """Forget the last chunk, so that the next observation is planned for."""
        self._planned = None
