"""How long requests and answers take on the wire, in the time of the hand."""

import time
from collections.abc import Callable

_POLL = 0.0005  # s
_PATIENCE = 0.015  # s by which a slow world may delay an answer; clients wait 34 ms for one


class WireTime:
    """Lets the time pass that bytes take.

    It is the hand's time: where a simulated world is late, its servos answer later. A client that looks
    whether a joint still moves, as a calibration does, would otherwise take a world that pauses for a stop.

    Args:
        baud_rate: bits/s; a byte has 10.
        hand_time: s; may stand still.
        clock: steady time, s.
        sleep: waits so many seconds.
    """

    def __init__(
        self,
        baud_rate: int,
        hand_time: Callable[[], float],
        clock: Callable[[], float] = time.monotonic,
        sleep: Callable[[float], None] = time.sleep,
    ) -> None:
        self._baud_rate, self._hand_time = baud_rate, hand_time
        self._clock, self._sleep = clock, sleep

    def of(self, length: int) -> float:
        """Seconds for so many bytes."""
        return length * 10 / self._baud_rate

    def pass_time(self, length: int, delay: float) -> None:
        """Wait until so many bytes, and the servos' own delay in s, have passed."""
        duration = self.of(length) + delay
        end, deadline = self._hand_time() + duration, self._clock() + duration + _PATIENCE
        self._sleep(duration)
        while self._hand_time() < end and self._clock() < deadline:
            self._sleep(_POLL)
