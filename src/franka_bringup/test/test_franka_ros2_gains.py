"""The gains of config/franka_ros2 on a simulated arm that carries the hand's payload.

The law is the one that crisp_controllers documents, with its filters and limits, at 1 kHz:

    tau = J^T (K e - D J dq) + N (k (q_home - q) - d dq)

What is not here is the arm's friction, and the delay of its network.
"""

from collections.abc import Callable
from pathlib import Path

import mujoco
import numpy as np
import pytest
import yaml
from scipy.spatial.transform import Rotation

from soft_flow_contract.pose import Pose
from soft_flow_contract.robot_cell import RobotCell
from soft_flow_sim.franka_arm_model import FLANGE_SITE, build_franka_arm

ROOT = Path(__file__).parents[3]
CELL = RobotCell.load(ROOT / "config" / "robots" / "fr3_orca_right.yaml")
CONTROLLERS = yaml.safe_load((ROOT / "config" / "franka_ros2" / "controllers.yaml").read_text())["/**"]
RELAY = yaml.safe_load((ROOT / "config" / "command_relay_node.yaml").read_text())["/**"]["ros__parameters"]
AXES = ("x", "y", "z")
STEP = 1e-3


def build_arm() -> mujoco.MjModel:
    spec = build_franka_arm()
    for actuator in list(spec.actuators):
        spec.delete(actuator)
    payload, load = CELL.arm.payload, spec.body("fr3_link7").add_body(name="payload", pos=[0, 0, 0.107])
    load.gravcomp, load.explicitinertial = 1.0, True  # the arm compensates it, once it is told of it
    load.mass, load.ipos, load.inertia = payload.mass, payload.center_of_mass, payload.inertia
    spec.option.timestep, spec.option.integrator = STEP, mujoco.mjtIntegrator.mjINT_IMPLICITFAST
    return spec.compile()


class ImpedanceLaw:
    """The controller's law with the parameters of the file."""

    def __init__(self, model: mujoco.MjModel, data: mujoco.MjData) -> None:
        self._p = CONTROLLERS["cartesian_impedance_controller"]["ros__parameters"]
        task = self._p["task"]
        stiffness = np.array([task[f"k_{kind}_{axis}"] for kind in ("pos", "rot") for axis in AXES])
        damping = [task.get(f"d_{kind}_{axis}", -1.0) for kind in ("pos", "rot") for axis in AXES]
        self._stiffness = stiffness
        self._damping = np.where(np.array(damping) > 0, damping, 2 * np.sqrt(stiffness))
        self._clip = np.array([task["error_clip"][name] for name in (*AXES, "rx", "ry", "rz")])
        self._model, self._data = model, data
        self._scratch = mujoco.MjData(model)
        self._site = model.site(FLANGE_SITE).id
        self._jacobian = np.zeros((6, 7))
        self._q, self._dq, self._torque = data.qpos.copy(), np.zeros(7), np.zeros(7)
        self.desired = self.flange(data)

    def flange(self, data: mujoco.MjData) -> Pose:
        return Pose.from_matrix(data.site_xpos[self._site].copy(), data.site_xmat[self._site].reshape(3, 3))

    def torque(self, target: Pose, home: np.ndarray) -> np.ndarray:
        keep = self._p["filter"]
        self._q = keep["q"] * self._q + (1 - keep["q"]) * self._data.qpos
        self._dq = keep["dq"] * self._dq + (1 - keep["dq"]) * self._data.qvel
        translation, rotation = self.desired.change_to(target)
        share = 1 - keep["target_pose"]
        self.desired = self.desired.moved(share * translation, share * rotation)
        flange, jacobian = self._kinematics()
        translation, rotation = flange.change_to(self.desired)
        local = flange.matrix.T
        error = np.clip(np.concatenate([local @ translation, local @ rotation]), -self._clip, self._clip)
        task = jacobian.T @ (self._stiffness * error - self._damping * (jacobian @ self._dq))
        torque = task + self._null_space(jacobian, home)
        step = np.clip(torque - self._torque, -self._p["max_delta_tau"], self._p["max_delta_tau"])
        self._torque = self._torque + (1 - keep["output_torque"]) * step
        return self._torque

    def _kinematics(self) -> tuple[Pose, np.ndarray]:
        """Flange and Jacobian in its own axes, at the filtered joint angles."""
        self._scratch.qpos[:] = self._q
        mujoco.mj_kinematics(self._model, self._scratch)
        mujoco.mj_comPos(self._model, self._scratch)
        mujoco.mj_jacSite(self._model, self._scratch, self._jacobian[:3], self._jacobian[3:], self._site)
        flange = self.flange(self._scratch)
        return flange, np.kron(np.eye(2), flange.matrix.T) @ self._jacobian

    def _null_space(self, jacobian: np.ndarray, home: np.ndarray) -> np.ndarray:
        p = self._p["nullspace"]
        pull = p["stiffness"] * (home - self._q) - p["damping"] * self._dq
        projector = np.eye(7) - np.linalg.pinv(jacobian) @ jacobian
        return np.clip(projector @ pull, -p["max_tau"], p["max_tau"])


class Run:
    """Errors of the flange (m, rad), speeds of the joints (rad/s), one row a millisecond."""

    def __init__(self, path: Callable[[float, Pose], Pose], seconds: float, off_home: float = 0.0) -> None:
        model = build_arm()
        data = mujoco.MjData(model)
        home = np.array(CELL.arm.home)
        data.qpos[:] = home + off_home * np.array([1.0, 0.5, -1.0, 0.5, 1.0, -0.5, 1.0])
        mujoco.mj_forward(model, data)
        law = ImpedanceLaw(model, data)
        start, errors, speeds = law.desired, [], []
        for index in range(round(seconds / STEP)):
            target = path(index * STEP, start)
            data.qfrc_applied[:] = law.torque(target, home)
            mujoco.mj_step(model, data)
            translation, rotation = law.flange(data).change_to(target)
            errors.append((np.linalg.norm(translation), np.linalg.norm(rotation)))
            speeds.append(np.abs(data.qvel).max())
        self.errors, self.speeds = np.array(errors), np.array(speeds)


def slide(speed: float) -> Callable[[float, Pose], Pose]:
    """Along y, for half a second."""
    return lambda t, start: start.moved(np.array([0.0, speed * min(t, 0.5), 0.0]), np.zeros(3))


def turn(speed: float, axis: int) -> Callable[[float, Pose], Pose]:
    """About an axis of the base, for a third of a second."""

    def path(t: float, start: Pose) -> Pose:
        vector = np.zeros(3)
        vector[axis] = speed * min(t, 1 / 3)
        turned = Rotation.from_rotvec(vector) * Rotation.from_quat(start.quaternion)
        return Pose(start.position, turned.as_quat())

    return path


@pytest.mark.parametrize(
    "path", [slide(0.6), turn(3.0, 0), turn(3.0, 2)], ids=["along_y", "about_x", "about_z"]
)
def test_the_fastest_commands_of_the_task_stay_within_the_relays_limits_of_lag_and_end_at_rest(
    path: Callable[[float, Pose], Pose],
) -> None:
    run = Run(path, 1.5)
    assert run.errors[:, 0].max() < RELAY["max_lag"]
    assert run.errors[:, 1].max() < RELAY["max_lag_angle"]
    assert run.errors[-100:, 0].max() < 0.01
    assert run.errors[-100:, 1].max() < 0.02
    assert run.speeds[-100:].max() < 0.4  # the elbow may still follow


def test_the_elbow_comes_to_its_posture_while_the_flange_stays() -> None:
    run = Run(lambda t, start: start, 3.0, off_home=0.15)
    assert run.errors[:, 0].max() < 0.005
    assert run.speeds.max() > 0.01
    assert run.speeds[-100:].max() < 0.02
