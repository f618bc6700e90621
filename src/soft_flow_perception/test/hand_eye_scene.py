"""Cells with a camera whose mounting is known, for both set-ups."""

from collections.abc import Sequence

import numpy as np
from board_scene import many_poses, project
from numpy.typing import NDArray
from scipy.spatial.transform import Rotation

from soft_flow_contract.pose import Pose
from soft_flow_perception.calibration.hand_eye_problem import HandEyeSample, Parent
from soft_flow_perception.calibration.rigid_transform import from_pose, inverse, to_pose, transform

Array = NDArray[np.float64]


def _placed(rotation_vector: Sequence[float], position: Sequence[float]) -> Array:
    return transform(Rotation.from_rotvec(rotation_vector).as_matrix(), np.array(position))


# Camera in its parent, and board in its carrier.
CAMERA: dict[Parent, Array] = {
    "flange": _placed([0.2, -0.4, 1.1], [0.05, -0.03, 0.08]),
    "base": _placed([1.8, -0.4, 0.3], [1.1, 0.4, 0.6]),
}
BOARD_IN_CARRIER: dict[Parent, Array] = {
    "flange": _placed([0.1, 2.9, 0.3], [0.5, 0.1, 0.02]),
    "base": _placed([0.3, -0.2, 1.4], [-0.06, 0.09, 0.12]),
}


def flange_in_base(parent: Parent, board_in_camera: Pose) -> Pose:
    """Where the flange has to be for the camera to see the board there: M = X C inv(Z)."""
    M = CAMERA[parent] @ from_pose(board_in_camera) @ inverse(BOARD_IN_CARRIER[parent])
    return to_pose(inverse(M) if parent == "flange" else M)


def disturbed(pose: Pose, sigma: float, random: np.random.Generator) -> Pose:
    """A pose that errs by sigma (m, rad) on each axis of its own frame."""
    turn, shift = random.normal(0, sigma, (2, 3))
    return to_pose(from_pose(pose) @ transform(Rotation.from_rotvec(turn).as_matrix(), shift))


def samples_of(
    parent: Parent, boards: Sequence[Pose] | None = None, pixels: float = 0.0, arm: float = 0.0, seed: int = 0
) -> list[HandEyeSample]:
    """Samples with noise of the detector (pixels) and of the arm (m, rad)."""
    random = np.random.default_rng(seed)
    boards = many_poses(15, seed=3) if boards is None else boards
    return [
        HandEyeSample(
            project(board, pixels, 1000 * seed + i, f"{i:04d}.png"),
            disturbed(flange_in_base(parent, board), arm, random),
        )
        for i, board in enumerate(boards)
    ]
