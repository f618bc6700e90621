"""Smooth motions of a robot's targets: minimum jerk in position, orientation and fingers."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from soft_flow_contract.action_space import RobotTarget

# Peak speed of a minimum-jerk motion over its mean speed.
PEAK_SPEED = 1.875


def minimum_jerk(progress: float | NDArray[np.float64]) -> NDArray[np.float64]:
    """Smooth step 10 s^3 - 15 s^4 + 6 s^5 of progress clipped to [0, 1] (Flash and Hogan 1985)."""
    s = np.clip(progress, 0.0, 1.0)
    return s**3 * (10.0 - 15.0 * s + 6.0 * s**2)


@dataclass(frozen=True)
class MinimumJerkMotion:
    """A motion between two targets in a number of ticks.

    Attributes:
        start: where it begins.
        goal: where it ends.
        ticks: its length.
        finger_delay: for each joint of the hand, the fraction of the motion after which it begins to move,
            shape (H,).
    """

    start: RobotTarget
    goal: RobotTarget
    ticks: int
    finger_delay: NDArray[np.float64]

    def at(self, tick: int) -> RobotTarget:
        """The target after a number of ticks; beyond the end it is the goal."""
        progress = tick / self.ticks
        blend = float(minimum_jerk(progress))
        translation, rotation = self.start.flange_in_base.change_to(self.goal.flange_in_base)
        fingers = minimum_jerk((progress - self.finger_delay) / (1.0 - self.finger_delay))
        hand = self.start.hand + fingers * (self.goal.hand - self.start.hand)
        return RobotTarget(self.start.flange_in_base.moved(blend * translation, blend * rotation), hand)


def ticks_needed(
    start: RobotTarget, goal: RobotTarget, max_translation: float, max_rotation: float, max_hand_step: float
) -> int:
    """Fewest ticks in which the peak speed of a minimum-jerk motion keeps the limits.

    Args:
        start: where it begins.
        goal: where it ends.
        max_translation: metres a tick.
        max_rotation: rad a tick.
        max_hand_step: rad a tick.

    Returns:
        At least 1.
    """
    translation, rotation = start.flange_in_base.change_to(goal.flange_in_base)
    needed = max(
        float(np.linalg.norm(translation)) / max_translation,
        float(np.linalg.norm(rotation)) / max_rotation,
        float(np.abs(goal.hand - start.hand).max()) / max_hand_step,
    )
    return max(1, int(np.ceil(PEAK_SPEED * needed)))
