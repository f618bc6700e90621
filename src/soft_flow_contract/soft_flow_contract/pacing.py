"""A loop at a fixed rate, and how well it keeps to it."""

import time
from collections import deque

import numpy as np

_REMEMBERED = 1000  # cycles


class Pacing:
    """Absolute deadlines: a late cycle does not delay the ones after it."""

    def __init__(self, period: float) -> None:
        """Seconds from one cycle to the next."""
        self._period = period
        self._next = time.monotonic()
        self._last: float | None = None
        self._errors: deque[float] = deque(maxlen=_REMEMBERED)

    def wait(self) -> float:
        """Sleep until the next cycle is due; returns when it began (steady clock, s)."""
        self._next += self._period
        remaining = self._next - time.monotonic()
        if remaining > 0:
            time.sleep(remaining)
        now = time.monotonic()
        if now - self._next > self._period:
            self._next = now  # what was missed is not caught up with
        if self._last is not None:
            self._errors.append(abs(now - self._last - self._period))
        self._last = now
        return now

    def restart(self) -> None:
        """After a pause that was meant."""
        self._next, self._last = time.monotonic(), None

    def jitter_p99(self) -> float:
        """Deviation of the time between cycles from the period (s) that 99 % of the last ones stay within."""
        errors = list(self._errors)
        return float(np.quantile(errors, 0.99)) if errors else 0.0
