"""The simulated robot: leads its joints to pose and finger targets, and reports what its sensors say."""

from collections import deque
from dataclasses import dataclass

import mujoco
import numpy as np
from numpy.typing import NDArray

from soft_flow_sim.domain_parameters import DomainParameters
from soft_flow_sim.franka_arm_model import ARM_JOINT_NAMES, FLANGE_SITE
from soft_flow_sim.inverse_kinematics import ArmInverseKinematics
from soft_flow_sim.orca_hand_model import HAND_JOINT_NAMES, HAND_JOINT_RANGES
from soft_flow_sim.scissors_world import ARM_PREFIX, HAND_PREFIX


@dataclass(frozen=True)
class RobotState:
    """Measured state of arm and hand.

    Attributes:
        arm_position: joint angles, shape (7,), rad.
        arm_velocity: shape (7,), rad/s.
        arm_torque: servo torques without gravity compensation, shape (7,), N m.
        flange_position: in the base frame, shape (3,), metres.
        flange_rotation: matrix, base from flange, shape (3, 3).
        hand_position: joint angles in orca_core's order, shape (17,), rad.
    """

    arm_position: NDArray[np.float64]
    arm_velocity: NDArray[np.float64]
    arm_torque: NDArray[np.float64]
    flange_position: NDArray[np.float64]
    flange_rotation: NDArray[np.float64]
    hand_position: NDArray[np.float64]

    @property
    def flange_quaternion(self) -> NDArray[np.float64]:
        """Orientation of the flange in the base frame, x y z w, shape (4,)."""
        quaternion = np.zeros(4)
        mujoco.mju_mat2Quat(quaternion, self.flange_rotation.ravel())
        return np.roll(quaternion, -1)


class ArmAndHand:
    """Commands and sensors of the robot in a compiled world."""

    def __init__(
        self,
        model: mujoco.MjModel,
        data: mujoco.MjData,
        kinematics: ArmInverseKinematics,
        domain: DomainParameters,
        interpolation_time: float,
    ) -> None:
        """Finds joints and actuators by name.

        Args:
            model: the world.
            data: its state.
            kinematics: solver for the arm.
            domain: delay and noise.
            interpolation_time: seconds over which joints are led to a new target.
        """
        self._model, self._data, self._kinematics, self._domain = model, data, kinematics, domain
        names = [*(ARM_PREFIX + n for n in ARM_JOINT_NAMES), *(HAND_PREFIX + n for n in HAND_JOINT_NAMES)]
        self._position_address = np.array([model.joint(name).qposadr[0] for name in names])
        self._velocity_address = np.array([model.joint(name).dofadr[0] for name in names])
        self._actuators = np.array([model.actuator(name).id for name in names])
        self._flange = model.site(ARM_PREFIX + FLANGE_SITE).id
        self._hand_geoms = np.array([model.geom_bodyid[g] for g in range(model.ngeom)])
        hand_bodies = [b for b in range(model.nbody) if model.body(b).name.startswith(HAND_PREFIX)]
        self._is_hand_geom = np.isin(self._hand_geoms, hand_bodies)
        self._interpolation_time = interpolation_time
        self._random = np.random.default_rng(0)
        self._start = self._goal = np.zeros(len(names))
        self._progress = 1.0
        self._delayed: deque[tuple[float, NDArray[np.float64]]] = deque()
        self._arm_goal = np.zeros(7)

    def reset(
        self,
        position: NDArray[np.float64],
        quaternion: NDArray[np.float64],
        hand: NDArray[np.float64],
        random: np.random.Generator,
    ) -> None:
        """Puts the robot at a pose, at rest, with that pose as its target.

        Args:
            position: flange in the base frame, shape (3,), metres.
            quaternion: x y z w, shape (4,).
            hand: shape (17,), rad.
            random: source of the sensors' noise.
        """
        home = self._kinematics.posture
        arm = self._kinematics.solve(home, position, np.roll(quaternion, 1), iterations=60, tolerance=1e-6)
        self._random = random
        self._arm_goal = arm
        self._goal = np.concatenate([arm, hand])
        self._start, self._progress = self._goal, 1.0
        self._delayed.clear()
        self._data.qpos[self._position_address] = self._goal
        self._data.ctrl[self._actuators] = self._goal
        state = self._model.actuator_actadr[self._actuators]
        self._data.act[state[state >= 0]] = self._goal[state >= 0]  # of the servos that filter their target
        mujoco.mj_forward(self._model, self._data)

    def apply_command(
        self, position: NDArray[np.float64], quaternion: NDArray[np.float64], hand: NDArray[np.float64]
    ) -> None:
        """Takes new targets; see ScissorsTask.apply_command."""
        for name, value, size in (
            ("flange_position", position, 3),
            ("flange_quaternion", quaternion, 4),
            ("hand_target", hand, 17),
        ):
            if np.shape(value) != (size,) or not np.isfinite(value).all():
                raise ValueError(f"{name} should be {size} finite numbers, got {value}")
        unit = np.roll(quaternion, 1) / np.linalg.norm(quaternion)
        self._arm_goal = self._kinematics.solve(self._arm_goal, np.asarray(position, dtype=float), unit)
        hand = np.clip(hand, HAND_JOINT_RANGES[:, 0], HAND_JOINT_RANGES[:, 1])
        goal = np.concatenate([self._arm_goal, hand])
        self._delayed.append((self._data.time + self._domain.command_delay, goal))

    def interpolate(self, seconds: float) -> None:
        """Sets the servos' targets for the next stretch of physics of this length."""
        while self._delayed and self._delayed[0][0] <= self._data.time + 1e-9:
            self._start = self._data.ctrl[self._actuators].copy()
            self._goal = self._delayed.popleft()[1]
            self._progress = 0.0
        if self._progress < 1.0:
            self._progress = min(1.0, self._progress + seconds / self._interpolation_time)
            self._data.ctrl[self._actuators] = self._start + (self._goal - self._start) * self._progress

    def state(self) -> RobotState:
        """Reads the sensors."""
        data = self._data
        position = data.qpos[self._position_address].copy()
        if self._domain.joint_noise:
            position += self._random.normal(0.0, self._domain.joint_noise, position.shape)
        return RobotState(
            arm_position=position[:7],
            arm_velocity=data.qvel[self._velocity_address[:7]].copy(),
            arm_torque=data.qfrc_actuator[self._velocity_address[:7]].copy(),
            flange_position=data.site_xpos[self._flange].copy(),
            flange_rotation=data.site_xmat[self._flange].reshape(3, 3).copy(),
            hand_position=position[7:],
        )

    def touches_with_hand(self, body: int) -> bool:
        """Whether the hand touches a body or one of its children."""
        if self._data.ncon == 0:
            return False
        geoms = self._data.contact.geom
        owner = self._model.body_rootid[self._model.geom_bodyid[geoms]]
        of_body = owner == self._model.body_rootid[body]
        of_hand = self._is_hand_geom[geoms]
        return bool(((of_body[:, 0] & of_hand[:, 1]) | (of_body[:, 1] & of_hand[:, 0])).any())
