"""What a hand can do: its joints in orca_core's order, their ranges and its neutral pose."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

WRIST = "wrist"


@dataclass(frozen=True)
class HandModel:
    """A hand of orca_core, in radians.

    Attributes:
        joint_names: orca_core's `joint_ids`; every array of this package is in this order.
        low: (J,) lower end of the range of motion, rad.
        high: (J,) upper end, rad.
        neutral: (J,) neutral pose, rad, within the range.
    """

    joint_names: tuple[str, ...]
    low: NDArray[np.float64]
    high: NDArray[np.float64]
    neutral: NDArray[np.float64]

    def speeds(self, finger: float, wrist: float) -> NDArray[np.float64]:
        """(J,) rad/s: one figure for the fingers, another for the wrist, which has no current limit."""
        return np.array([wrist if name == WRIST else finger for name in self.joint_names])
