"""A path of the flange for benchmarks of the arm's driver, and the controller's own record of it."""

import math
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from soft_flow_contract.pose import Pose

TICK = 0.05  # s between targets
STILL = 0.05  # rad/s; a joint slower than this counts as standing
_SPAN = 0.02  # s over which a joint's speed is taken


@dataclass(frozen=True)
class Drive:
    """To and fro along y, by a sine, and cut off where it is fastest.

    Attributes:
        speed: there, m/s.
        angular_frequency: rad/s.
        periods: how often.
    """

    speed: float
    angular_frequency: float
    periods: int

    def targets(self, start: Pose) -> Iterator[tuple[float, Pose]]:
        """When a target is due (s since the start), and the target: where the path is one tick later."""
        ticks = round(self.periods * 2 * math.pi / self.angular_frequency / TICK)
        amplitude = self.speed / self.angular_frequency
        for tick in range(ticks):
            offset = amplitude * math.sin(self.angular_frequency * (tick + 1) * TICK)
            yield tick * TICK, start.moved(np.array([0.0, offset, 0.0]), np.zeros(3))


@dataclass(frozen=True)
class Sent:
    """Every state that the controller sent.

    Attributes:
        time: (N,) s of the steady clock, just before it was sent.
        position: (N, 7) rad.
    """

    time: NDArray[np.float64]
    position: NDArray[np.float64]

    @classmethod
    def load(cls, path: Path) -> "Sent":
        """What arm_server.py leaves."""
        rows = np.load(path)
        return cls(rows[:, 0], rows[:, 1:])

    def latencies(self, received: NDArray[np.float64], position: NDArray[np.float64]) -> NDArray[np.float64]:
        """Seconds from the sending of each state to its receipt; states of a standing arm are left out.

        A state is known by its seven positions: in the single precision in which the controller sends them,
        no two of a moving arm are equal.
        """
        when: dict[bytes, list[float]] = {}
        for time, row in zip(self.time, self.position, strict=True):
            when.setdefault(_key(row), []).append(time)
        found = [when.get(_key(row), []) for row in position]
        return np.array([at - sent[0] for at, sent in zip(received, found, strict=True) if len(sent) == 1])

    def motion_over(self, after: float, within: float = 1.0) -> float:
        """Seconds from `after` (steady clock) to the end of the last motion of a joint in the next ones."""
        begin, end = np.searchsorted(self.time, [after, after + within])
        earlier = np.searchsorted(self.time, self.time[begin:end] - _SPAN)
        passed = (self.time[begin:end] - self.time[earlier])[:, None]
        speed = np.abs(self.position[begin:end] - self.position[earlier]) / passed
        moving = np.flatnonzero(speed.max(axis=1) > STILL)
        return float(self.time[begin + moving[-1]] - after) if moving.size else 0.0


def _key(position: NDArray[np.float64]) -> bytes:
    return np.asarray(position, dtype=np.float32).tobytes()
