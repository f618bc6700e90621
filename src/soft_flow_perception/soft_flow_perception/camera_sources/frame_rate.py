"""How regularly frames come."""

from collections import deque

import numpy as np

WINDOW = 60  # frames: 2 s at 30 Hz


class FrameRate:
    """Rate and jitter of the last frames' capture times."""

    def __init__(self) -> None:
        self._captures_ns: deque[int] = deque(maxlen=WINDOW)

    def add(self, capture_ns: int) -> None:
        """Take the capture time of a frame."""
        self._captures_ns.append(capture_ns)

    def clear(self) -> None:
        """Forget all: the stream was interrupted."""
        self._captures_ns.clear()

    @property
    def full(self) -> bool:
        """Whether enough frames came to judge the rate."""
        return len(self._captures_ns) == WINDOW

    @property
    def rate(self) -> float:
        """Frames a second; 0 before the second frame."""
        intervals = self._intervals()
        return float(1e9 / np.mean(intervals)) if intervals.size and np.mean(intervals) > 0 else 0.0

    @property
    def jitter(self) -> float:
        """Standard deviation of the interval between frames, s."""
        intervals = self._intervals()
        return float(np.std(intervals) * 1e-9) if intervals.size else 0.0

    def _intervals(self) -> np.ndarray:
        return np.diff(np.array(self._captures_ns, dtype=np.int64))
