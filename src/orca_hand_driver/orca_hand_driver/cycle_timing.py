"""The pace of the bus: absolute deadlines, and how long its cycles take."""

from collections import deque
from dataclasses import dataclass

import numpy as np

from soft_flow_contract.pacing import Pacing

_REMEMBERED = 1000  # cycles


@dataclass(frozen=True)
class TimingReport:
    """The last cycles: achieved rate (Hz) and time of a read with its write (s)."""

    rate: float
    median: float
    p99: float


class CycleTiming:
    """Begins cycles at a rate, as far as the bus allows; written by one thread, read by any."""

    def __init__(self, rate: float) -> None:
        """Cycles a second that are wanted."""
        self._pacing = Pacing(1.0 / rate)
        self._begins: deque[float] = deque(maxlen=_REMEMBERED)
        self._durations: deque[float] = deque(maxlen=_REMEMBERED)

    def wait(self) -> float:
        """Sleep until the next cycle is due; returns when it begins (steady clock, s)."""
        return self._pacing.wait()

    def add(self, began: float, ended: float) -> None:
        """Take a finished cycle (steady clock, s)."""
        self._begins.append(began)
        self._durations.append(ended - began)

    def restart(self) -> None:
        """After a pause that was meant: forget the cycles before."""
        self._pacing.restart()
        self._begins.clear()
        self._durations.clear()

    def durations(self) -> list[float]:
        """Time (s) of each of the last cycles."""
        return list(self._durations)

    def report(self) -> TimingReport:
        """Rate and times of the last cycles; zeros before there are two."""
        begins, durations = list(self._begins), list(self._durations)
        if len(begins) < 2 or not durations:
            return TimingReport(0.0, 0.0, 0.0)
        rate = (len(begins) - 1) / max(begins[-1] - begins[0], 1e-9)
        return TimingReport(rate, float(np.median(durations)), float(np.quantile(durations, 0.99)))
