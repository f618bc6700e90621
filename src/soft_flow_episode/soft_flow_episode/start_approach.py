"""The way to the start of an episode: the hand opens, the flange rises, then travels, slowly."""

from dataclasses import dataclass

import numpy as np
from scipy.spatial.transform import Rotation

from soft_flow_contract.action_space import RobotTarget
from soft_flow_contract.pose import Pose
from soft_flow_contract.robot_cell import Start

_REACHED = 1e-6
_NEAR = 0.01  # m beside the start, from where on no rise is needed
# Measured distances at which the robot is there: m, rad, rad. An impedance controller does not come nearer.
_TOLERANCE = np.array([0.015, 0.06, 0.2])
_PATIENCE_TICKS = 40  # without progress, after which something is in the way
_PROGRESS = 0.002


@dataclass(frozen=True)
class Distance:
    """From the start: m and rad of the flange, and the largest of the hand's joints in rad."""

    flange: float
    angle: float
    hand: float

    @property
    def within_tolerance(self) -> bool:
        """Whether this counts as being there."""
        return bool(np.all(np.array([self.flange, self.angle, self.hand]) <= _TOLERANCE))


class StartApproach:
    """Leads targets to the start and judges by what is measured whether the robot is there."""

    def __init__(self, start: Start, hand_names: tuple[str, ...], dt: float) -> None:
        """Take the start of a cell, for a tick of `dt` seconds.

        Raises:
            ValueError: the start names a joint that the hand does not have.
        """
        unknown = set(start.hand) - set(hand_names)
        if unknown:
            raise ValueError(f"start.hand: unknown joints {sorted(unknown)}; known: {', '.join(hand_names)}")
        flange = Pose(np.array(start.flange.position), np.array(start.flange.quaternion))
        self.start = RobotTarget(flange, np.array([start.hand.get(name, 0.0) for name in hand_names]))
        self._translation, self._rotation = start.speed * dt, start.turn * dt
        self.begin()

    def begin(self) -> None:
        """Forget the last approach."""
        self._nearest, self._idle_ticks = np.inf, 0
        self.problem = ""

    def following(self, current: RobotTarget) -> RobotTarget:
        """The next target after `current`."""
        change = self.start.hand - current.hand
        if np.max(np.abs(change)) > _REACHED:
            hand = current.hand + np.clip(change, -self._rotation, self._rotation)
            return RobotTarget(current.flange_in_base, hand)
        translation, rotation = current.flange_in_base.change_to(self.start.flange_in_base)
        if translation[2] > _REACHED and np.linalg.norm(translation[:2]) > _NEAR:
            rise = np.array([0.0, 0.0, min(translation[2], self._translation)])
            return RobotTarget(current.flange_in_base.moved(rise, np.zeros(3)), current.hand)
        step = current.flange_in_base.moved(
            _shortened(translation, self._translation), _shortened(rotation, self._rotation)
        )
        return RobotTarget(step, current.hand)

    def distance(self, measured: RobotTarget) -> Distance:
        """How far the measured robot is from the start."""
        translation, rotation = measured.flange_in_base.change_to(self.start.flange_in_base)
        angle = float(Rotation.from_rotvec(rotation).magnitude())
        hand = float(np.max(np.abs(measured.hand - self.start.hand)))
        return Distance(float(np.linalg.norm(translation)), angle, hand)

    def judge(self, measured: RobotTarget) -> bool:
        """Whether the robot is there, once a tick; `problem` says what is wrong if it does not get on."""
        distance = self.distance(measured)
        if distance.within_tolerance:
            return True
        left = distance.flange + distance.angle + distance.hand
        if left < self._nearest - _PROGRESS:
            self._nearest, self._idle_ticks = left, 0
            return False
        self._idle_ticks += 1
        if self._idle_ticks >= _PATIENCE_TICKS:
            self.problem = (
                f"no progress towards the start: {distance.flange * 1e3:.0f} mm, {distance.angle:.2f} rad, "
                f"hand {distance.hand:.2f} rad left; is something in the way?"
            )
        return False


def _shortened(vector: np.ndarray, longest: float) -> np.ndarray:
    length = float(np.linalg.norm(vector))
    return vector if length <= longest else vector * (longest / length)
