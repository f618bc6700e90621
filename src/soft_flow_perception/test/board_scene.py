"""A camera that is known, and what it sees of a board: corners by projection, pictures by rendering."""

from collections.abc import Sequence
from dataclasses import dataclass, field

import cv2
import numpy as np
from numpy.typing import NDArray

from soft_flow_contract.pose import Pose
from soft_flow_perception.calibration.board_view import BoardView
from soft_flow_perception.calibration.charuco_board import Board
from soft_flow_perception.camera_info_file import CameraInfo

SIZE = (640, 480)
K = np.array([[520.0, 0, 311.0], [0, 524.0, 247.0], [0, 0, 1]])
DISTORTION = np.array([-0.18, 0.06, 0.0012, -0.0009, 0.0])
BOARD = Board()
_PIXELS_PER_SQUARE = 60
_SAMPLES = 2  # of a pixel, in each direction


def info(name: str = "wrist") -> CameraInfo:
    return CameraInfo.calibrated(name, SIZE, K, DISTORTION, K)


def board_pose(
    x: float, y: float, depth: float, tilt_x: float = 0.0, tilt_y: float = 0.0, spin: float = 0.0
) -> Pose:
    """Board in camera: its middle at x, y (parts of the picture) and depth (m), tilted (degrees)."""
    middle = np.array(BOARD.size) * 1e-3 / 2
    rotation = _turn(0, tilt_x) @ _turn(1, tilt_y) @ _turn(2, spin)
    pixel = np.array([x * SIZE[0], y * SIZE[1], 1.0])
    position = depth * np.linalg.inv(K) @ pixel - rotation @ np.array([*middle, 0.0])
    return Pose.from_matrix(position, rotation)


def _turn(axis: int, degrees: float) -> NDArray[np.float64]:
    vector = np.zeros(3)
    vector[axis] = np.radians(degrees)
    return np.asarray(cv2.Rodrigues(vector)[0])


def many_poses(count: int = 20, tilt: float = 30.0, seed: int = 0) -> list[Pose]:
    """The board all over the picture, tilted to all sides."""
    random = np.random.default_rng(seed)
    places = [(x, y) for y in (0.3, 0.5, 0.7) for x in (0.25, 0.5, 0.75)]
    return [
        board_pose(
            places[i % 9][0],
            places[i % 9][1],
            float(random.uniform(0.26, 0.42)),
            *random.uniform(-tilt, tilt, 2),
            float(random.uniform(-40, 40)),
        )  # fmt: skip
        for i in range(count)
    ]


def project(board_in_camera: Pose, noise: float = 0.0, seed: int = 0, name: str = "") -> BoardView:
    """What an ideal detector finds: corners within the picture, with noise (pixels)."""
    points = BOARD.corners
    corners = _pixels(points, board_in_camera)
    in_camera = points @ board_in_camera.matrix.T + board_in_camera.position
    corners += np.random.default_rng(seed).normal(0, noise, corners.shape)
    seen = np.all((corners >= 0) & (corners <= np.array(SIZE) - 1), axis=1) & (in_camera[:, 2] > 0.01)
    # Far outside the picture the distortion folds back; what is seen lies within the field of view.
    rays = in_camera[:, :2] / in_camera[:, 2:]
    seen &= np.linalg.norm(rays, axis=1) < 0.9
    return BoardView(name, np.flatnonzero(seen), corners[seen], points[seen])


def _pixels(points: NDArray[np.float64], board_in_camera: Pose) -> NDArray[np.float64]:
    rotation = cv2.Rodrigues(board_in_camera.matrix)[0]
    return cv2.projectPoints(points, rotation, board_in_camera.position, K, DISTORTION)[0].reshape(-1, 2)


def project_all(poses: Sequence[Pose], noise: float = 0.0) -> list[BoardView]:
    return [project(pose, noise, seed, f"{seed:02d}.png") for seed, pose in enumerate(poses)]


@dataclass
class Renderer:
    """Pictures of the board: every pixel's ray meets the board's plane, where its texture is looked up."""

    rays: NDArray[np.float64] = field(init=False)
    texture: NDArray[np.uint8] = field(init=False)

    def __post_init__(self) -> None:
        width, height = SIZE[0] * _SAMPLES, SIZE[1] * _SAMPLES
        u, v = np.meshgrid(
            (np.arange(width) + 0.5) / _SAMPLES - 0.5, (np.arange(height) + 0.5) / _SAMPLES - 0.5
        )
        pixels = np.stack([u, v], -1).reshape(-1, 1, 2)
        criteria = (cv2.TERM_CRITERIA_COUNT | cv2.TERM_CRITERIA_EPS, 20, 1e-8)
        plane = cv2.undistortPoints(pixels, K, DISTORTION, criteria=criteria).reshape(height, width, 2)
        self.rays = np.concatenate([plane, np.ones((height, width, 1))], -1).astype(np.float32)
        size = (BOARD.squares_x * _PIXELS_PER_SQUARE, BOARD.squares_y * _PIXELS_PER_SQUARE)
        self.texture = np.asarray(BOARD.opencv().generateImage(size, marginSize=0), np.uint8)

    def render(self, board_in_camera: Pose, noise: float = 2.0, seed: int = 0) -> NDArray[np.uint8]:
        """RGB (H, W, 3), grey background, noise in grey levels."""
        rotation, position = board_in_camera.matrix, board_in_camera.position
        normal = rotation[:, 2].astype(np.float32)
        depth = float(normal @ position) / (self.rays @ normal)
        on_board = (depth[..., None] * self.rays - position.astype(np.float32)) @ rotation[:, :2].astype(
            np.float32
        )
        pixel = on_board / (BOARD.square * 1e-3) * _PIXELS_PER_SQUARE - 0.5
        x, y = pixel[..., 0].astype(np.float32), pixel[..., 1].astype(np.float32)
        x[depth <= 0] = -1e4
        fine = cv2.remap(self.texture, x, y, cv2.INTER_LINEAR, None, cv2.BORDER_CONSTANT, (215,))
        grey = cv2.resize(fine, SIZE, interpolation=cv2.INTER_AREA).astype(np.float32) * 0.8 + 25
        grey += np.random.default_rng(seed).normal(0, noise, grey.shape)
        return np.repeat(np.clip(grey, 0, 255).astype(np.uint8)[..., None], 3, axis=2)
