"""Where the flange shall be at every moment: led from target to target, smoothed, with its rates."""

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from soft_flow_contract.pose import Pose

_STILL = 1e-7  # m and rad; a smoothed pose nearer than this to its goal stands on it


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
    and a turn at constant speed about a fixed axis (slerp). Two equal first-order filters follow it, each of
    which moves towards the one before by a share of the way between them. So the reference never leaves the
    convex hull of where the lead has been, is never faster than the lead, and its velocity and acceleration
    are plain differences of the filters:

        v = (first - second) / T,   a = ((lead - first) / T - v) / T

    An arm that is fed forward with these stops with its reference; without them it would trail behind.
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
        self._lead = self._first = self._second = pose
        self._stand()

    def _stand(self) -> None:
        self._start = self._lead
        self._translation = self._rotation = np.zeros(3)
        self._duration = self._elapsed = 0.0

    @property
    def lead(self) -> Pose:
        """Where the reference would be without smoothing."""
        return self._lead

    def lead_to(self, target: Pose) -> None:
        """Go to a target from now on, in place of the one before."""
        self._start, self._elapsed = self._lead, 0.0
        self._translation, self._rotation = self._lead.change_to(target)
        self._duration = max(
            self._interpolation_time,
            float(np.linalg.norm(self._translation)) / self._max_speed,
            float(np.linalg.norm(self._rotation)) / self._max_turn,
        )

    def freeze(self) -> None:
        """Go no farther: the lead stands, and the reference comes to rest there in some smoothing times."""
        self._stand()

    def advance(self, dt: float) -> ReferenceSample:
        """The reference `dt` seconds later."""
        if self._elapsed < self._duration:
            self._elapsed = min(self._elapsed + dt, self._duration)
            share = self._elapsed / self._duration
            self._lead = self._start.moved(share * self._translation, share * self._rotation)
        share = 1.0 - math.exp(-dt / self._smoothing_time)
        self._first = _towards(self._first, self._lead, share)
        self._second = _towards(self._second, self._first, share)
        twist = _change(self._second, self._first) / self._smoothing_time
        approach = _change(self._first, self._lead) / self._smoothing_time
        return ReferenceSample(self._second, twist, (approach - twist) / self._smoothing_time)


def _change(pose: Pose, goal: Pose) -> NDArray[np.float64]:
    """Translation and rotation vector from a pose to a goal, (6,); zero if they are the same object."""
    return np.zeros(6) if pose is goal else np.concatenate(pose.change_to(goal))


def _towards(pose: Pose, goal: Pose, share: float) -> Pose:
    """The pose after a share of the way to the goal; the goal itself once it is there for all purposes."""
    if pose is goal:
        return goal
    translation, rotation = pose.change_to(goal)
    if max(np.abs(translation).max(), np.abs(rotation).max()) < _STILL:
        return goal
    return pose.moved(share * translation, share * rotation)
