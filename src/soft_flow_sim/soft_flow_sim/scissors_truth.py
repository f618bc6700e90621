"""Where the scissors truly are: the plane midway between the blades, and the points on it that matter."""

import mujoco
import numpy as np
from numpy.typing import NDArray

from soft_flow_sim.scissors_model import BLADE_OFFSET, GRIP_OFFSET


class ScissorsTruth:
    """Reads the pose of the scissors from a world's state; metres and rad in the world (= base) frame."""

    def __init__(self, model: mujoco.MjModel, data: mujoco.MjData) -> None:
        """Finds body and hinge by name.

        Args:
            model: a world with scissors.
            data: its state, read at every access.
        """
        self._data = data
        self.body = model.body("scissors").id
        self.free_address = int(model.joint("scissors_free").qposadr[0])
        self.hinge_address = int(model.joint("scissors_hinge").qposadr[0])

    @property
    def hinge_angle(self) -> float:
        """Opening of the blades, rad."""
        return float(self._data.qpos[self.hinge_address])

    @property
    def pivot(self) -> NDArray[np.float64]:
        """Position of the pivot, shape (3,)."""
        return self._data.xpos[self.body].copy()

    @property
    def hinge_axis(self) -> NDArray[np.float64]:
        """Unit vector along the hinge, shape (3,)."""
        return self._data.xmat[self.body].reshape(3, 3)[:, 2].copy()

    @property
    def direction(self) -> NDArray[np.float64]:
        """Unit vector from handles to tip midway between the halves, shape (3,)."""
        # The other half is turned by -angle about z, so the middle is at half of that.
        half = self.hinge_angle / 2
        return self._data.xmat[self.body].reshape(3, 3) @ np.array([np.cos(half), -np.sin(half), 0.0])

    @property
    def yaw(self) -> float:
        """Direction of the blades about +z from +x, rad."""
        x, y, _ = self.direction
        return float(np.arctan2(y, x))

    @property
    def grip(self) -> NDArray[np.float64]:
        """Where a hand should hold the handles, shape (3,)."""
        return self.pivot + GRIP_OFFSET * self.direction

    @property
    def blade(self) -> NDArray[np.float64]:
        """Where the strand should lie between the blades, shape (3,)."""
        return self.pivot + BLADE_OFFSET * self.direction
