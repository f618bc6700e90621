"""What a hand can do: its joints in orca_core's order, their ranges and its neutral pose."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray


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
