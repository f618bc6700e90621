"""What servos move: the interface of a hand's mechanics."""

from dataclasses import dataclass
from typing import Protocol

import numpy as np
from numpy.typing import NDArray


@dataclass(frozen=True)
class HandMeasurement:
    """What a hand's joints do.

    Attributes:
        time: of the hand, s; simulated time may run at another pace than the clock.
        position: (J,) rad.
        velocity: (J,) rad/s.
        torque: (J,) N m, of the motors on the joints.
    """

    time: float
    position: NDArray[np.float64]
    velocity: NDArray[np.float64]
    torque: NDArray[np.float64]


class HandMechanics(Protocol):
    """A hand that position servos with limited torque move."""

    joint_names: tuple[str, ...]

    def measure(self) -> HandMeasurement:
        """What the joints do now."""
        ...

    def drive(
        self,
        goal: NDArray[np.float64],
        torque_limit: NDArray[np.float64],
        enabled: NDArray[np.bool_],
    ) -> None:
        """Let the servos pull from now on.

        Args:
            goal: (J,) rad; may lie beyond the stops.
            torque_limit: (J,) N m.
            enabled: (J,) whether torque is on.
        """
        ...
