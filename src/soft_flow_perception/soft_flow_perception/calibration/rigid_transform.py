"""Rigid transforms as matrices (4, 4), to be multiplied: `a_in_b @ c_in_a` is c in b."""

import cv2
import numpy as np
from numpy.typing import NDArray
from scipy.spatial.transform import Rotation

from soft_flow_contract.pose import Pose

Array = NDArray[np.float64]


def transform(rotation: Array, position: Array) -> Array:
    """(4, 4) of a rotation (3, 3) and a position (3,)."""
    matrix = np.eye(4)
    matrix[:3, :3], matrix[:3, 3] = rotation, position
    return matrix


def from_pose(pose: Pose) -> Array:
    """(4, 4) of a pose."""
    return transform(pose.matrix, pose.position)


def to_pose(matrix: Array) -> Pose:
    """The pose of (4, 4)."""
    return Pose.from_matrix(matrix[:3, 3], matrix[:3, :3])


def inverse(matrix: Array) -> Array:
    """The inverse of a rigid transform (..., 4, 4)."""
    result = np.zeros_like(matrix)
    turned = np.swapaxes(matrix[..., :3, :3], -1, -2)
    result[..., :3, :3] = turned
    result[..., :3, 3] = -(turned @ matrix[..., :3, 3:])[..., 0]
    result[..., 3, 3] = 1.0
    return result


def mean(matrices: Array) -> Array:
    """The mean of transforms (N, 4, 4): of the positions, and of the rotations by their chords."""
    rotation = Rotation.from_matrix(matrices[:, :3, :3]).mean().as_matrix()
    return transform(rotation, matrices[:, :3, 3].mean(axis=0))


def rotation_vectors(matrices: Array) -> Array:
    """Rotation vectors (N, 3), rad, of transforms (N, 4, 4)."""
    return Rotation.from_matrix(matrices[:, :3, :3]).as_rotvec()


def difference(first: Array, second: Array, point: Array) -> tuple[float, float]:
    """How far apart two transforms (4, 4) are: metres at a point (3,) of the moved frame, and radians."""
    moved = np.append(point, 1.0)
    distance = float(np.linalg.norm((first @ moved - second @ moved)[:3]))
    angle = float(Rotation.from_matrix(first[:3, :3].T @ second[:3, :3]).magnitude())
    return distance, angle


def board_in_camera(points: Array, corners: Array, K: Array, D: Array) -> Array:
    """(4, 4) pose of a flat board from its corners in a picture.

    Both solutions that a flat board allows are computed (IPPE: Collins and Bartoli 2014,
    doi 10.1007/s11263-014-0725-5); the one that fits better is refined.

    Args:
        points: (N, 3) in the board's frame, m.
        corners: (N, 2) pixels.
        K: camera matrix (3, 3).
        D: distortion coefficients (n,).
    """
    _, rotations, translations, _ = cv2.solvePnPGeneric(points, corners, K, D, flags=cv2.SOLVEPNP_IPPE)
    errors = [
        np.sum((cv2.projectPoints(points, turn, shift, K, D)[0].reshape(-1, 2) - corners) ** 2)
        for turn, shift in zip(rotations, translations, strict=True)
    ]
    best = int(np.argmin(errors))
    turn, shift = cv2.solvePnPRefineLM(points, corners, K, D, rotations[best], translations[best])
    return transform(np.asarray(cv2.Rodrigues(turn)[0], float), np.asarray(shift, float).ravel())
