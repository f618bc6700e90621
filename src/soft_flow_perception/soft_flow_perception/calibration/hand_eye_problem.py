"""Where a camera is mounted: hand-eye calibration from pictures of a board at known poses of the flange.

Two set-ups, one problem. M_i Z = X C_i, with X the camera in its parent and Z the board in its carrier:
- a camera on the flange, the board somewhere in the cell: parent flange, carrier base, M_i base in flange;
- a camera in the cell, the board on the flange: parent base, carrier flange, M_i flange in base.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import cv2
import numpy as np
from numpy.typing import NDArray
from scipy.spatial.transform import Rotation

from soft_flow_contract.pose import Pose
from soft_flow_perception.calibration.board_view import BoardView
from soft_flow_perception.calibration.refusal import CalibrationRefusedError
from soft_flow_perception.calibration.rigid_transform import (
    board_in_camera,
    from_pose,
    inverse,
    transform,
)
from soft_flow_perception.camera_info_file import CameraInfo

Array = NDArray[np.float64]
Parent = Literal["flange", "base"]


@dataclass(frozen=True)
class HandEyeSample:
    """A picture's view of the board, and the pose of the flange in the base frame when it was taken."""

    view: BoardView
    flange_in_base: Pose


@dataclass(frozen=True)
class HandEyeProblem:
    """All samples as arrays.

    Attributes:
        samples: N of them.
        parent: what the camera is mounted on.
        info: the camera's intrinsic calibration.
        M: (N, 4, 4) what carries the board, in the parent.
        C: (N, 4, 4) board in camera, from each picture by itself.
    """

    samples: list[HandEyeSample]
    parent: Parent
    info: CameraInfo
    M: Array
    C: Array

    @classmethod
    def of(cls, samples: Sequence[HandEyeSample], parent: Parent, info: CameraInfo) -> "HandEyeProblem":
        """Find the board's pose in each picture.

        Raises:
            CalibrationRefusedError: the camera's model of distortion is another than OpenCV's usual one.
        """
        if info.distortion_model == "equidistant":
            raise CalibrationRefusedError(
                ["hand-eye calibration knows the distortion models plumb_bob and rational_polynomial only"]
            )
        flanges = np.array([from_pose(sample.flange_in_base) for sample in samples]).reshape(-1, 4, 4)
        boards = [
            board_in_camera(sample.view.points, sample.view.corners, info.matrix, info.distortion)
            for sample in samples
        ]
        M = inverse(flanges) if parent == "flange" else flanges
        return cls(list(samples), parent, info, M, np.array(boards).reshape(-1, 4, 4))

    def without(self, index: int) -> "HandEyeProblem":
        """The same without one sample."""
        samples = [sample for i, sample in enumerate(self.samples) if i != index]
        M, C = np.delete(self.M, index, axis=0), np.delete(self.C, index, axis=0)
        return HandEyeProblem(samples, self.parent, self.info, M, C)

    def errors(self, X: Array, Z: Array, M: Array | None = None) -> list[Array]:
        """Observed minus projected corners (n_i, 2) of every sample, pixels; `M` in place of its own."""
        boards = inverse(X) @ (self.M if M is None else M) @ Z
        in_camera = [
            sample.view.points @ board[:3, :3].T + board[:3, 3]
            for sample, board in zip(self.samples, boards, strict=True)
        ]
        projected = _project(np.concatenate(in_camera), np.eye(4), self.info)
        ends = np.cumsum([len(points) for points in in_camera])[:-1]
        return [
            sample.view.corners - part
            for sample, part in zip(self.samples, np.split(projected, ends), strict=True)
        ]

    def with_arm_moved(self, change: Array) -> Array:
        """M (N, 4, 4) if the flange were turned (rad) and shifted (m) in its own frame, `change` (6,)."""
        motion = transform(Rotation.from_rotvec(change[:3]).as_matrix(), change[3:])
        return inverse(motion) @ self.M if self.parent == "flange" else self.M @ motion

    @property
    def detector_sigma(self) -> float:
        """Standard deviation of a corner's coordinate, pixels: what every picture by itself leaves over."""
        errors = [
            sample.view.corners - _project(sample.view.points, board, self.info)
            for sample, board in zip(self.samples, self.C, strict=True)
        ]
        return float(np.sqrt(np.mean(np.square(np.concatenate(errors)))))

    def sample_rms(self, X: Array, Z: Array) -> Array:
        """(N,) root mean square of the corners' distances, pixels."""
        return np.array([np.sqrt(np.mean(np.sum(error**2, axis=1))) for error in self.errors(X, Z)])


def _project(points: Array, frame_in_camera: Array, info: CameraInfo) -> Array:
    """Pixels (N, 2) of points (N, 3) in a frame."""
    turn = cv2.Rodrigues(frame_in_camera[:3, :3])[0]
    pixels = cv2.projectPoints(points, turn, frame_in_camera[:3, 3], info.matrix, info.distortion)[0]
    return np.asarray(pixels, float).reshape(-1, 2)
