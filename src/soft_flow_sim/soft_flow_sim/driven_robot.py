"""The simulated robot as its own controllers drive it: torques for the arm, servo goals for the hand."""

from dataclasses import dataclass
from itertools import combinations

import mujoco
import numpy as np
from numpy.typing import NDArray

from soft_flow_sim.arm_and_hand import ArmAndHand
from soft_flow_sim.domain_parameters import DomainParameters
from soft_flow_sim.franka_arm_model import ARM_JOINT_NAMES
from soft_flow_sim.inverse_kinematics import ArmInverseKinematics
from soft_flow_sim.orca_hand_model import HAND_JOINT_NAMES
from soft_flow_sim.scissors_world import ARM_PREFIX, HAND_PREFIX

TIME_STEP = 0.001  # s; the arm's controller works at 1 kHz
JOINTS = len(HAND_JOINT_NAMES)


def drive_by_torque(spec: mujoco.MjSpec) -> None:
    """Prepare a world: 1 ms steps, motors in place of the arm's servos, and gravity on the whole robot.

    Its weight is then the business of the arm's controller, which knows the hand by its payload only. The
    capsules of the fingers do not touch each other: they are wider than the links, so that fingers side by
    side would push each other out of the way, and a calibration would find stops that are not there.
    """
    spec.option.timestep = TIME_STEP
    for body in spec.bodies:
        if body.name.startswith(ARM_PREFIX):
            body.gravcomp = 0.0
    for name in ARM_JOINT_NAMES:
        spec.actuator(ARM_PREFIX + name).set_to_motor()
    links = [HAND_PREFIX + name for name in HAND_JOINT_NAMES]
    for first, second in combinations(links, 2):
        spec.add_exclude(bodyname1=first, bodyname2=second)


@dataclass(frozen=True)
class HandMeasurement:
    """What the hand's joints do; each of shape (17,): rad, rad/s, N m of the motor."""

    position: NDArray[np.float64]
    velocity: NDArray[np.float64]
    torque: NDArray[np.float64]


class DrivenRobot(ArmAndHand):
    """Arm and hand of a world prepared by `drive_by_torque`; after its first reset it never jumps."""

    def __init__(
        self,
        model: mujoco.MjModel,
        data: mujoco.MjData,
        kinematics: ArmInverseKinematics,
        domain: DomainParameters,
        interpolation_time: float,
    ) -> None:
        super().__init__(model, data, kinematics, domain, interpolation_time)
        names = [HAND_PREFIX + name for name in HAND_JOINT_NAMES]
        self._arm_actuators = np.array([model.actuator(ARM_PREFIX + name).id for name in ARM_JOINT_NAMES])
        self._hand_actuators = np.array([model.actuator(name).id for name in names])
        self._arm_position, self._hand_position = self._position_address[:7], self._position_address[7:]
        self._arm_velocity, self._hand_velocity = self._velocity_address[:7], self._velocity_address[7:]
        self._hand_range = model.actuator_ctrlrange[self._hand_actuators].copy()
        self._kept: tuple[NDArray[np.float64], ...] | None = None
        self._placed = False

    def keep(self) -> None:
        """Remember the joints; the next `reset` puts them back to where they are now."""
        data = self._data
        self._kept = data.qpos.copy(), data.qvel.copy(), data.act.copy(), data.ctrl.copy()

    def reset(
        self,
        position: NDArray[np.float64],
        quaternion: NDArray[np.float64],
        hand: NDArray[np.float64],
        random: np.random.Generator,
    ) -> None:
        """Put the robot at a pose the first time; later leave it, since no real one can be put anywhere."""
        if not self._placed or self._kept is None:
            super().reset(position, quaternion, hand, random)
            self._data.ctrl[self._arm_actuators] = 0.0
            self._placed = True
            return
        self._random = random
        qpos, qvel, act, ctrl = self._kept
        self._data.qpos[self._position_address] = qpos[self._position_address]
        self._data.qvel[self._velocity_address] = qvel[self._velocity_address]
        self._data.act[:] = act
        self._data.ctrl[self._actuators] = ctrl[self._actuators]
        mujoco.mj_forward(self._model, self._data)

    def arm_state(self) -> tuple[NDArray[np.float64], NDArray[np.float64], NDArray[np.float64]]:
        """Position (rad), velocity (rad/s) and commanded torque (N m) of the arm's joints, each (7,)."""
        data = self._data
        return (
            data.qpos[self._arm_position],
            data.qvel[self._arm_velocity],
            data.ctrl[self._arm_actuators],
        )

    def external_torque(self) -> NDArray[np.float64]:
        """What contacts and limits exert on the arm's joints, (7,), N m."""
        return self._data.qfrc_constraint[self._arm_velocity]

    def apply_torque(self, torque: NDArray[np.float64]) -> None:
        """Torques of the arm's motors for the next steps, (7,), N m, gravity included."""
        self._data.ctrl[self._arm_actuators] = torque

    def drive_hand(
        self,
        goal: NDArray[np.float64],
        torque_limit: NDArray[np.float64],
        enabled: NDArray[np.float64],
    ) -> None:
        """What the hand's servos are told, each (17,): goal (rad), limit (N m), 1 where torque is on."""
        limit = torque_limit * enabled
        self._model.actuator_forcerange[self._hand_actuators, 0] = -limit
        self._model.actuator_forcerange[self._hand_actuators, 1] = limit
        self._data.ctrl[self._hand_actuators] = np.clip(goal, self._hand_range[:, 0], self._hand_range[:, 1])

    def hand_measurement(self) -> HandMeasurement:
        """Read the hand's joints."""
        data = self._data
        return HandMeasurement(
            data.qpos[self._hand_position].copy(),
            data.qvel[self._hand_velocity].copy(),
            data.actuator_force[self._hand_actuators].copy(),
        )
