"""What the arm's controller says of the arm at one moment."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from soft_flow_contract.pose import Pose


@dataclass(frozen=True)
class ArmState:
    """One state, as received.

    Attributes:
        time_ms: the controller's own clock; it advances with every state.
        position: (7,) rad.
        velocity: (7,) rad/s.
        torque: (7,) N m, measured.
        flange: in the base frame.
        mode: name of franka::RobotMode, such as Idle, Move, Reflex, UserStopped.
        errors: names of libfranka's error flags that are set.
        success_rate: share of the last 100 commands that the controller got in time; 0 when nothing drives.
        external_force: (3,) N on the flange, base frame, as the controller estimates it.
    """

    time_ms: int
    position: NDArray[np.float64]
    velocity: NDArray[np.float64]
    torque: NDArray[np.float64]
    flange: Pose
    mode: str
    errors: tuple[str, ...]
    success_rate: float
    external_force: NDArray[np.float64]
