"""Where the joints of each arm end, and whether a joint is about to get there."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

_STANDING = 0.01  # rad/s; a joint slower than this does not move towards its end


@dataclass(frozen=True)
class JointLimits:
    """Position limits of the seven joints, each (7,), rad."""

    low: NDArray[np.float64]
    high: NDArray[np.float64]

    def approached(self, position: NDArray[np.float64], velocity: NDArray[np.float64], margin: float) -> str:
        """Which joint is within `margin` of an end and moves towards it, in words; empty if none does.

        Args:
            position: (7,) rad.
            velocity: (7,) rad/s.
            margin: rad.
        """
        at_low = (position < self.low + margin) & (velocity < -_STANDING)
        at_high = (position > self.high - margin) & (velocity > _STANDING)
        joints = np.flatnonzero(at_low | at_high)
        if joints.size == 0:
            return ""
        joint = int(joints[0])
        end = self.low[joint] if at_low[joint] else self.high[joint]
        return (
            f"joint {joint + 1} is at {position[joint]:.3f} rad and moves towards its end at {end:.3f} rad; "
            "guide the arm away from it by hand, then call the recover service"
        )


# Franka, "Robot and interface specifications" of the FCI documentation (frankarobotics.github.io/docs).
FR3 = JointLimits(
    low=np.array([-2.7437, -1.7837, -2.9007, -3.0421, -2.8065, 0.5445, -3.0159]),
    high=np.array([2.7437, 1.7837, 2.9007, -0.1518, 2.8065, 4.5169, 3.0159]),
)
PANDA = JointLimits(
    low=np.array([-2.8973, -1.7628, -2.8973, -3.0718, -2.8973, -0.0175, -2.8973]),
    high=np.array([2.8973, 1.7628, 2.8973, -0.0698, 2.8973, 3.7525, 2.8973]),
)
LIMITS = {"fr3": FR3, "panda": PANDA}
