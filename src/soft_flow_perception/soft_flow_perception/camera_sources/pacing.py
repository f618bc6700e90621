"""Plays recordings at the rate of a camera."""

import time
from collections.abc import Callable


class Pacer:
    """Waits until the next frame is due; frames are not hurried to make up for a delay."""

    def __init__(
        self,
        fps: float,
        clock: Callable[[], int] = time.monotonic_ns,
        sleep: Callable[[float], None] = time.sleep,
    ) -> None:
        """Pace at `fps` frames a second of `clock` (ns)."""
        self._period_ns, self._clock, self._sleep = round(1e9 / fps), clock, sleep
        self._due: int | None = None

    def wait(self) -> int:
        """Wait for the next frame's time and return it (ns)."""
        now = self._clock()
        if self._due is None or now > self._due + self._period_ns:
            self._due = now
        elif now < self._due:
            self._sleep((self._due - now) * 1e-9)
        due, self._due = self._due, self._due + self._period_ns
        return due
