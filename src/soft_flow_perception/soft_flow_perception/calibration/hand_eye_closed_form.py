"""Closed-form solutions of hand-eye calibration, A X = X B over pairs of samples.

(OpenCV 5.0 leaves `calibrateHandEye` out of its Python package.) Each method takes and returns transforms
(4, 4); none minimizes what matters, the error in the picture: they start its minimization.
"""

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray
from scipy.spatial.transform import Rotation

from soft_flow_perception.calibration.rigid_transform import inverse, mean, rotation_vectors, transform

Array = NDArray[np.float64]
LEAST_ANGLE = np.radians(5.0)  # a pair that turns less says little of the rotation


def motions(carrier_in_parent: Array, board_in_camera: Array) -> tuple[Array, Array]:
    """The pairs' relative motions A and B, (P, 4, 4) each, of those that turn by `LEAST_ANGLE` or more.

    With X the camera in its parent and Z the board in its carrier, M_i Z = X C_i for every sample, so that
    A_ij X = X B_ij with A_ij = M_i inv(M_j) and B_ij = C_i inv(C_j).

    Args:
        carrier_in_parent: M (N, 4, 4): of what carries the board, in what carries the camera.
        board_in_camera: C (N, 4, 4).
    """
    first, second = np.triu_indices(len(carrier_in_parent), 1)
    A = carrier_in_parent[first] @ inverse(carrier_in_parent[second])
    B = board_in_camera[first] @ inverse(board_in_camera[second])
    turning = np.linalg.norm(rotation_vectors(A), axis=1) >= LEAST_ANGLE
    return A[turning], B[turning]


def board_in_carrier(camera_in_parent: Array, carrier_in_parent: Array, board_in_camera: Array) -> Array:
    """Z, the mean over the samples of inv(M_i) X C_i."""
    return mean(inverse(carrier_in_parent) @ camera_in_parent @ board_in_camera)


def park(A: Array, B: Array) -> Array:
    """Park and Martin 1994 (doi 10.1109/70.326576): least squares of log(A) = R log(B)."""
    a, b = rotation_vectors(A), rotation_vectors(B)
    U, _, Vt = np.linalg.svd(a.T @ b)
    rotation = U @ np.diag([1.0, 1.0, np.linalg.det(U @ Vt)]) @ Vt
    return transform(rotation, _translation(A, B, rotation))


def tsai(A: Array, B: Array) -> Array:
    """Tsai and Lenz 1989 (doi 10.1109/70.34770): modified Rodrigues vectors, p = 2 sin(angle / 2) axis."""
    a, b = _rodrigues(A), _rodrigues(B)
    half = np.linalg.lstsq(np.concatenate([_skew(v) for v in a + b]), (b - a).ravel(), rcond=None)[0]
    p = 2 * half / np.sqrt(1 + half @ half)
    square = p @ p
    rotation = (1 - square / 2) * np.eye(3) + (np.outer(p, p) + np.sqrt(4 - square) * _skew(p)) / 2
    return transform(rotation, _translation(A, B, rotation))


def daniilidis(A: Array, B: Array) -> Array:
    """Daniilidis 1999 (doi 10.1177/02783649922066213): rotation and translation at once, dual quaternions."""
    rows = [_screw_rows(*_dual_quaternion(a), *_dual_quaternion(b)) for a, b in zip(A, B, strict=True)]
    _, _, Vt = np.linalg.svd(np.concatenate(rows))
    u1, v1, u2, v2 = Vt[6, :4], Vt[6, 4:], Vt[7, :4], Vt[7, 4:]
    # q = l1 u1 + l2 u2 is of unit length and orthogonal to its dual part; s = l1 / l2.
    roots = np.roots([u1 @ v1, u1 @ v2 + u2 @ v1, u2 @ v2])
    lengths = [s * s * (u1 @ u1) + 2 * s * (u1 @ u2) + u2 @ u2 for s in roots.real]
    s, length = roots.real[int(np.argmax(lengths))], max(lengths)
    l2 = 1 / np.sqrt(length)
    q, dual = s * l2 * u1 + l2 * u2, s * l2 * v1 + l2 * v2
    rotation = Rotation.from_quat(np.roll(q, -1)).as_matrix()
    return transform(rotation, 2 * _times(dual, q * [1, -1, -1, -1])[1:])


METHODS: dict[str, Callable[[Array, Array], Array]] = {"park": park, "tsai": tsai, "daniilidis": daniilidis}


def _translation(A: Array, B: Array, rotation: Array) -> Array:
    """The t of least squares (R_A - 1) t = R t_B - t_A."""
    left = np.concatenate(A[:, :3, :3] - np.eye(3))
    right = (B[:, :3, 3] @ rotation.T - A[:, :3, 3]).ravel()
    return np.linalg.lstsq(left, right, rcond=None)[0]


def _rodrigues(matrices: Array) -> Array:
    vectors = rotation_vectors(matrices)
    angles = np.linalg.norm(vectors, axis=1, keepdims=True)
    return 2 * np.sin(angles / 2) * vectors / angles


def _skew(v: Array) -> Array:
    return np.array([[0, -v[2], v[1]], [v[2], 0, -v[0]], [-v[1], v[0], 0]])


def _times(p: Array, q: Array) -> Array:
    """Product of quaternions w x y z."""
    vector = p[0] * q[1:] + q[0] * p[1:] + np.cross(p[1:], q[1:])
    return np.array([p[0] * q[0] - p[1:] @ q[1:], *vector])


def _dual_quaternion(matrix: Array) -> tuple[Array, Array]:
    """Rotation w x y z, of positive w, and the dual part t q / 2."""
    q = np.roll(Rotation.from_matrix(matrix[:3, :3]).as_quat(), 1)
    q = -q if q[0] < 0 else q
    return q, _times(np.array([0.0, *matrix[:3, 3]]), q) / 2


def _screw_rows(a: Array, a_dual: Array, b: Array, b_dual: Array) -> Array:
    """(6, 8): zero times the dual quaternion of X; a screw's angle and pitch are the same on both sides."""
    real = np.column_stack([a[1:] - b[1:], _skew(a[1:] + b[1:])])
    dual = np.column_stack([a_dual[1:] - b_dual[1:], _skew(a_dual[1:] + b_dual[1:])])
    return np.block([[real, np.zeros((3, 4))], [dual, real]])
