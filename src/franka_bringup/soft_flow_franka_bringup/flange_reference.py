"""Where the flange shall be at every moment: led from target to target, smoothed, with its rates."""

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from soft_flow_contract.pose import Pose

_STILL = 1e-7  # m and rad; a reference that lags less stands on its lead


@dataclass(frozen=True)
class ReferenceSample:
    """The reference at one moment, all in the base frame.

    Attributes:
        pose: of the flange.
        twist: (6,) velocity of the flange's origin (m/s) and angular velocity (rad/s).
        acceleration: (6,) m/s^2 and rad/s^2.
    """

    pose: Pose
    twist: NDArray[np.float64]
    acceleration: NDArray[np.float64]


class FlangeReference:
    """Leads linearly from where it is to the newest target, then smooths the corners.

    The *lead* reaches a target in one interpolation time, or as fast as the limits allow: a straight line,
    and a turn at constant speed about a fixed axis (slerp). Two equal first-order filters follow it, of which
    the second is the reference. Their lags d1 (of the first behind the lead) and d2 (of the second behind the
    first) obey, while the lead has the velocity s,

        d1' = s - d1 / T,   d2' = (d1 - d2) / T,

    which `advance` solves exactly, whatever its step is. So the reference never leaves the convex hull of
    where the lead has been, is never faster than the lead, and has the velocity d2 / T and the acceleration
    (d1 - d2) / T^2 (for turns up to the square of their lag, some percent at the fastest). An arm that is fed
    forward with these stops with its reference; without them it would trail behind.
    """

    def __init__(
        self, max_speed: float, max_turn: float, interpolation_time: float, smoothing_time: float
    ) -> None:
        """Limits in m/s and rad/s; times in s. Call `restart` before anything else."""
        self._max_speed, self._max_turn = max_speed, max_turn
        self._interpolation_time, self._smoothing_time = interpolation_time, smoothing_time
        self.restart(Pose(np.zeros(3), np.array([0.0, 0.0, 0.0, 1.0])))

    def restart(self, pose: Pose) -> None:
        """Stand at a pose, at once: for an arm that nothing drives yet."""
        self._lead = pose
        self._first_lag = self._second_lag = np.zeros(6)
        self.freeze()

    @property
    def lead(self) -> Pose:
        """Where the reference would be without smoothing."""
        return self._lead

    def lead_to(self, target: Pose) -> None:
        """Go to a target from now on, in place of the one before."""
        translation, rotation = self._lead.change_to(target)
        self._duration = max(
            self._interpolation_time,
            float(np.linalg.norm(translation)) / self._max_speed,
            float(np.linalg.norm(rotation)) / self._max_turn,
        )
        self._start, self._elapsed = self._lead, 0.0
        self._speed = np.concatenate([translation, rotation]) / self._duration

    def freeze(self) -> None:
        """Go no farther: the lead stands, and the reference comes to rest there in some smoothing times."""
        self._start, self._speed = self._lead, np.zeros(6)
        self._duration = self._elapsed = 0.0

    def advance(self, dt: float) -> ReferenceSample:
        """The reference `dt` seconds later."""
        leading = min(dt, self._duration - self._elapsed)
        if leading > 0:
            self._elapsed += leading
            way = self._speed * self._elapsed
            self._lead = self._start.moved(way[:3], way[3:])
            self._trail(leading, self._speed)
        if dt > leading:
            self._trail(dt - leading, np.zeros(6))
        lag = self._first_lag + self._second_lag
        pose = self._lead.moved(-lag[:3], -lag[3:]) if lag.any() else self._lead
        acceleration = (self._first_lag - self._second_lag) / self._smoothing_time**2
        return ReferenceSample(pose, self._second_lag / self._smoothing_time, acceleration)

    def _trail(self, dt: float, speed: NDArray[np.float64]) -> None:
        """The lags after `dt` seconds in which the lead had a constant velocity."""
        share = dt / self._smoothing_time
        decay = math.exp(-share)
        final = speed * self._smoothing_time
        excess = self._first_lag - final
        self._second_lag = final + (self._second_lag - final + share * excess) * decay
        self._first_lag = final + excess * decay
        if max(np.abs(self._first_lag).max(), np.abs(self._second_lag).max()) < _STILL:
            self._first_lag = self._second_lag = np.zeros(6)
