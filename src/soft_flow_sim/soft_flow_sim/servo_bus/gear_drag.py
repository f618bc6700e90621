"""A servo without current is not free: its gears, 1:288, hold against a little torque and yield to more."""

import numpy as np
from numpy.typing import NDArray


class GearDrag:
    """Lets position servos act as such gears where no motor pulls.

    Without it a finger would fall from its stop as soon as torque is off, before a calibration, which
    measures relaxed fingers, has looked.

    Args:
        drag: (J,) N m that the gears hold.
        stiffness: (J,) N m/rad of the position servos.
    """

    def __init__(self, drag: NDArray[np.float64], stiffness: NDArray[np.float64]) -> None:
        self._drag, self._play = drag, drag / stiffness
        self._held: NDArray[np.float64] | None = None

    def apply(
        self,
        position: NDArray[np.float64],
        goal: NDArray[np.float64],
        torque_limit: NDArray[np.float64],
        enabled: NDArray[np.bool_],
    ) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """What the position servos are told instead.

        Args:
            position: (J,) where the joints are, rad.
            goal: (J,) rad.
            torque_limit: (J,) N m.
            enabled: (J,) whether torque is on.

        Returns:
            goal and torque limit, (J,) each, of servos that are all on.
        """
        held = position if self._held is None else self._held
        relaxed = ~enabled | (torque_limit < self._drag)
        self._held = np.where(relaxed, np.clip(held, position - self._play, position + self._play), position)
        return np.where(relaxed, self._held, goal), np.where(relaxed, self._drag, torque_limit)
