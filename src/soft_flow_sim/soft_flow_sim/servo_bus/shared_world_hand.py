"""The hand of a simulated world in another process, through the world's file."""

import os
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from soft_flow_contract.robot_cell import WRIST
from soft_flow_sim.orca_hand_model import HAND_JOINT_NAMES, HandGains
from soft_flow_sim.servo_bus.gear_drag import GearDrag
from soft_flow_sim.servo_bus.hand_gearing import HandError
from soft_flow_sim.servo_bus.hand_mechanics import HandMeasurement
from soft_flow_sim.shared_world import SharedWorld

_FINGER_DRAG, _WRIST_DRAG = 0.03, 0.4  # N m that gears hold without current: more than links weigh


class SharedWorldHand:
    """Measures and drives the world's hand; follows the world when it starts anew and so makes a new file.

    Args:
        path: the world's file.

    Raises:
        SharedWorldError: there is none.
    """

    joint_names = HAND_JOINT_NAMES

    def __init__(self, path: Path) -> None:
        self._path = path
        gains, wrist = HandGains(), np.array([name == WRIST for name in HAND_JOINT_NAMES])
        self._gears = GearDrag(
            np.where(wrist, _WRIST_DRAG, _FINGER_DRAG),
            np.where(wrist, gains.wrist_stiffness, gains.finger_stiffness),
        )
        self._open()

    def _open(self) -> None:
        self._file = self._path.stat().st_ino
        self._world = SharedWorld.open(self._path)
        if self._world.joints != len(HAND_JOINT_NAMES):
            raise HandError(f"{self._path}: the world has {self._world.joints} hand joints, not 17")
        self._position = self._world.read("measured")["position"]

    def measure(self) -> HandMeasurement:
        """What the world's last step says.

        Raises:
            SharedWorldError: the world stopped in the middle of it.
        """
        if self._replaced():
            self._open()
        measured = self._world.read("measured")
        self._position = measured["position"]
        return HandMeasurement(
            float(measured["time_ns"]) * 1e-9,
            measured["position"],
            measured["velocity"],
            measured["torque"],
        )

    def drive(
        self,
        goal: NDArray[np.float64],
        torque_limit: NDArray[np.float64],
        enabled: NDArray[np.bool_],
    ) -> None:
        """Tell the world's servos, which act from its next step on; where no motor pulls, its gears hold."""
        goal, limit = self._gears.apply(self._position, goal, torque_limit, enabled)
        self._world.write("driven", goal=goal, torque_limit=limit, enabled=np.ones(len(goal)))

    def _replaced(self) -> bool:
        try:
            return os.stat(self._path).st_ino != self._file
        except FileNotFoundError:
            return False  # the world is gone; its last state stays
