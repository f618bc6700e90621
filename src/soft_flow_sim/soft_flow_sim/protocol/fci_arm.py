"""The arm of a driven world as franky_sim's protocol server sees it."""

import numpy as np
from franky_sim import BaseRobot, RobotParameters
from franky_sim.base_simulator import InnerRobotState
from numpy.typing import NDArray

from soft_flow_sim.driven_robot import DrivenRobot

# Nothing is mounted as far as the arm knows: its end effector is the flange, and the hand is a payload that
# the client has to announce (setLoad), as on a robot without a Franka Hand in its Desk.
_BARE_FLANGE = RobotParameters(
    ee_mass=1e-6,
    ee_com=(0.0, 0.0, 0.0),
    ee_tcp_xyz=(0.0, 0.0, 0.0),
    ee_tcp_rpy=(0.0, 0.0, 0.0),
    ee_inertia=(0.0,) * 9,
)
# Damping of its own position control, N m s/rad: with franky_sim's the wrist's joints shake at 1 ms a step.
_DAMPING = (450.0, 450.0, 350.0, 350.0, 60.0, 60.0, 60.0)


class FciArm(BaseRobot):
    """Reads joints from the world and puts the controller's torques (gravity included) into it."""

    def __init__(self, robot: DrivenRobot) -> None:
        super().__init__(robot_parameters=_BARE_FLANGE, kv=_DAMPING, has_gripper=False)
        self._robot = robot

    def _get_state(self) -> InnerRobotState:
        position, velocity, torque = self._robot.arm_state()
        return InnerRobotState(tuple(position.tolist()), tuple(velocity.tolist()), tuple(torque.tolist()))

    def _torque_control(self, torques: NDArray[np.float64]) -> None:
        self._robot.apply_torque(torques)

    def external_torque(self) -> NDArray[np.float64]:
        """What contacts exert on the joints, (7,), N m."""
        return self._robot.external_torque()

    def set_hand_goal(self, width: float, max_velocity: float, max_force: float) -> None:
        """There is no Franka Hand.

        Raises:
            NotImplementedError: always.
        """
        raise NotImplementedError("the cell has no Franka Hand")

    def _get_hand_width(self) -> float:
        return 0.0
