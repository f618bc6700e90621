"""Real time: which ticks are due at a moment, and when the next one is."""

from dataclasses import dataclass


@dataclass(frozen=True)
class DueTicks:
    """Ticks whose command phase has passed.

    Attributes:
        skipped: stamps of ticks that were slept through (oldest first), ns.
        current: stamp of the newest due tick, ns; None if none is due.
    """

    skipped: tuple[int, ...]
    current: int | None


class TickSchedule:
    """Releases tick t_k once, at t_k + phase or as soon after as it is asked."""

    def __init__(self, dt_ns: int, phase_ns: int, longest_gap: int) -> None:
        """Ticks every `dt_ns`; more than `longest_gap` of them at once are a jump of the clock."""
        self._dt_ns, self._phase_ns, self._longest_gap = dt_ns, phase_ns, longest_gap
        self._released_ns: int | None = None

    def due(self, now_ns: int) -> DueTicks:
        """Ticks due at `now_ns` that were not given yet."""
        newest = (now_ns - self._phase_ns) // self._dt_ns * self._dt_ns
        if newest < 0 or (self._released_ns is not None and newest <= self._released_ns):
            return DueTicks((), None)
        last, self._released_ns = self._released_ns, newest
        if last is None or (newest - last) // self._dt_ns > self._longest_gap:
            return DueTicks((), newest)
        return DueTicks(tuple(range(last + self._dt_ns, newest, self._dt_ns)), newest)

    def until_next(self, now_ns: int) -> int:
        """Nanoseconds (at least 1) from `now_ns` to the next release."""
        return self._dt_ns - (now_ns - self._phase_ns) % self._dt_ns
