"""Inverse kinematics of the arm: damped least squares with a pull towards a comfortable posture."""

import mujoco
import numpy as np
from numpy.typing import NDArray

from soft_flow_sim.franka_arm_model import ARM_JOINT_NAMES, FLANGE_SITE, build_franka_arm

_DAMPING_SQUARED = 0.01**2 * np.eye(6)
_POSTURE_GAIN = 0.1
_LARGEST_STEP = 0.2
_LIMIT_MARGIN = 0.02


class ArmInverseKinematics:
    """Solves for the flange's pose on a model of the bare arm.

    Source: Buss, "Introduction to Inverse Kinematics with Jacobian Transpose, Pseudoinverse and Damped Least
        Squares Methods" (2004): dq = J^T (J J^T + lambda^2 I)^-1 e, plus the posture's gradient in the null
        space.
    """

    def __init__(self, posture: NDArray[np.float64]) -> None:
        """Compiles the arm.

        Args:
            posture: joint angles that the null space is drawn to, shape (7,), rad.
        """
        self._model = build_franka_arm().compile()
        self._data = mujoco.MjData(self._model)
        self._site = self._model.site(FLANGE_SITE).id
        self.posture = np.array(posture, dtype=float)
        ranges = np.array([self._model.joint(name).range for name in ARM_JOINT_NAMES])
        self._low, self._high = ranges[:, 0] + _LIMIT_MARGIN, ranges[:, 1] - _LIMIT_MARGIN

    def flange_pose(
        self, joint_position: NDArray[np.float64]
    ) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """Forward kinematics.

        Args:
            joint_position: shape (7,), rad.

        Returns:
            The flange in the base frame: position (3,), metres, and rotation matrix (3, 3).
        """
        self._data.qpos[:] = joint_position
        mujoco.mj_kinematics(self._model, self._data)
        rotation = self._data.site_xmat[self._site].reshape(3, 3).copy()
        return self._data.site_xpos[self._site].copy(), rotation

    def solve(
        self,
        start: NDArray[np.float64],
        position: NDArray[np.float64],
        quaternion: NDArray[np.float64],
        iterations: int = 8,
        tolerance: float = 2e-3,
    ) -> NDArray[np.float64]:
        """Finds joint angles for a flange pose in the base frame.

        Args:
            start: where to start from, shape (7,), rad.
            position: metres, shape (3,).
            quaternion: MuJoCo's order w, x, y, z, unit length, shape (4,).
            iterations: at most this many steps; an unreachable pose gives the nearest one found.
            tolerance: of metres and radians together; a step from below it is the last one.

        Returns:
            Joint angles within the limits, shape (7,), rad.
        """
        model, data = self._model, self._data
        angles = np.array(start, dtype=float)
        jacobian, error = np.zeros((6, model.nv)), np.zeros(6)
        current, difference = np.zeros(4), np.zeros(4)
        for _ in range(iterations):
            data.qpos[:] = angles
            mujoco.mj_kinematics(model, data)
            mujoco.mj_comPos(model, data)
            error[:3] = position - data.site_xpos[self._site]
            mujoco.mju_mat2Quat(current, data.site_xmat[self._site])
            mujoco.mju_negQuat(current, current)
            mujoco.mju_mulQuat(difference, quaternion, current)
            mujoco.mju_quat2Vel(error[3:], difference, 1.0)
            mujoco.mj_jacSite(model, data, jacobian[:3], jacobian[3:], self._site)
            gram = jacobian @ jacobian.T + _DAMPING_SQUARED
            # Both right-hand sides at once: the pose's error and the posture's image, which it must not
            # disturb.
            pull = _POSTURE_GAIN * (self.posture - angles)
            step = pull + jacobian.T @ np.linalg.solve(gram, error - jacobian @ pull)
            step *= _LARGEST_STEP / max(_LARGEST_STEP, float(abs(step).max()))
            angles = np.minimum(np.maximum(angles + step, self._low), self._high)
            converged = float(error @ error) < tolerance**2
            if converged:
                break
        return angles
