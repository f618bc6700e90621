"""Capture times of devices on this machine's steady clock."""

from collections import deque

SECOND_NS = 1_000_000_000
LONGEST_DELAY_NS = SECOND_NS  # from capture to arrival; more is another clock or an old buffer
WINDOW = 300  # frames over which the least delay is looked for: 10 s at 30 Hz, in which clocks drift < 1 ms


def plausible(capture_ns: int, arrival_ns: int) -> bool:
    """Whether a stamp can be the capture time, on the steady clock, of a frame that arrived then."""
    return 0 <= arrival_ns - capture_ns <= LONGEST_DELAY_NS


class DeviceClock:
    """Maps the free-running clock of a device to the steady clock.

    steady = device + min(arrival - device) over the last frames: the quickest frame is taken to have arrived
    at once, so stamps are late by the least delay of the transfer, but free of its jitter.
    """

    def __init__(self) -> None:
        self._differences: deque[int] = deque(maxlen=WINDOW)
        self._last = 0

    def to_steady(self, device_ns: int, arrival_ns: int) -> int:
        """The capture time of a frame with the device's stamp `device_ns` that arrived at `arrival_ns`."""
        if device_ns < self._last:
            self._differences.clear()  # the device was reset
        self._last = device_ns
        self._differences.append(arrival_ns - device_ns)
        return device_ns + min(self._differences)
