"""Intrinsic calibration of a camera from views of a board (Zhang 2000, doi 10.1109/34.888718), by OpenCV."""

from collections.abc import Sequence
from dataclasses import dataclass, field

import cv2
import numpy as np
from numpy.typing import NDArray

from soft_flow_perception.calibration.board_view import BoardView
from soft_flow_perception.calibration.coverage import Coverage
from soft_flow_perception.calibration.refusal import CalibrationRefusedError
from soft_flow_perception.camera_info_file import CameraInfo

# Which coefficients are estimated: `plain` is what ROS's camera_calibration does.
MODELS = {
    "plain": cv2.CALIB_FIX_K3,
    "k3": 0,
    "rational": cv2.CALIB_RATIONAL_MODEL,
}


@dataclass(frozen=True)
class Requirements:
    """What a calibration needs to be written."""

    views: int = 15
    coverage: float = 0.6  # part of the cells of the grid
    tilted: float = 0.25  # part of the views in which the board is tilted
    tilt: float = 15.0  # degrees between the board's normal and the optical axis
    rejected: float = 0.25  # at most this part of the views may be outliers
    focal_deviation: float = 0.005  # standard deviation of the focal length, relative
    rms: float = 0.8  # pixels


@dataclass(frozen=True)
class IntrinsicCalibration:
    """What came out.

    Attributes:
        size: width and height, pixels.
        camera_matrix: (3, 3).
        distortion: (5,) or (8,), OpenCV's order.
        views: those that count.
        rejected: the outliers.
        errors: (N, 2) of each view that counts, observed minus projected, pixels.
        tilts: (V,) angle between the board's normal and the optical axis, degrees.
        focal_deviation: standard deviation of the focal length, relative; the worse axis.
    """

    size: tuple[int, int]
    camera_matrix: NDArray[np.float64]
    distortion: NDArray[np.float64]
    views: list[BoardView]
    rejected: list[BoardView]
    errors: list[NDArray[np.float64]]
    tilts: NDArray[np.float64]
    focal_deviation: float
    coverage: Coverage = field(init=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "coverage", Coverage.of(self.views, self.size))

    @property
    def view_rms(self) -> NDArray[np.float64]:
        """(V,) root mean square distance of corners and their projections in each view, pixels."""
        return np.array([np.sqrt(np.mean(np.sum(error**2, axis=1))) for error in self.errors])

    @property
    def rms(self) -> float:
        """The same over all corners."""
        return float(np.sqrt(np.mean(np.sum(np.concatenate(self.errors) ** 2, axis=1))))

    @property
    def undistorted_matrix(self) -> NDArray[np.float64]:
        """Camera matrix (3, 3) of the undistorted picture without black borders, as ROS's P has it."""
        matrix, _ = cv2.getOptimalNewCameraMatrix(self.camera_matrix, self.distortion, self.size, 0)
        return np.asarray(matrix, float)

    def camera_info(self, name: str) -> CameraInfo:
        """The calibration of camera `name`, to be written."""
        return CameraInfo.calibrated(
            name, self.size, self.camera_matrix, self.distortion, self.undistorted_matrix
        )


def missing_views(views: Sequence[BoardView], size: tuple[int, int], needs: Requirements) -> list[str]:
    """Why these views are not enough to begin with; empty if they are."""
    coverage, reasons = Coverage.of(views, size), []
    if len(views) < needs.views:
        reasons.append(f"{len(views)} usable views, at least {needs.views} are needed")
    if coverage.fraction < needs.coverage:
        reasons.append(
            f"corners cover {coverage.fraction:.0%} of the picture, at least {needs.coverage:.0%} are "
            f"needed; show the board at: {', '.join(coverage.empty_regions) or 'the gaps'}"
        )
    return reasons


def calibrate_intrinsics(
    views: Sequence[BoardView], size: tuple[int, int], model: str = "plain", needs: Requirements | None = None
) -> IntrinsicCalibration:
    """Calibrate; views with 2.5 times the error of the median are left out, one after the other.

    Args:
        views: usable ones, of one board that was flat and did not change.
        size: width and height of the pictures.
        model: one of `MODELS`.
        needs: what is asked of the views.

    Raises:
        CalibrationRefusedError: too few views, too little coverage, or too many outliers.
    """
    needs = needs or Requirements()
    if reasons := missing_views(views, size, needs):
        raise CalibrationRefusedError(reasons)
    kept = list(views)
    rejected: list[BoardView] = []
    while True:
        result = _fit(kept, rejected, size, model)
        view_rms = result.view_rms
        worst = int(np.argmax(view_rms))
        if view_rms[worst] <= 2.5 * np.median(view_rms):
            return result
        rejected.append(kept.pop(worst))
        if len(rejected) > needs.rejected * len(views):
            names = ", ".join(view.name for view in rejected)
            raise CalibrationRefusedError(
                [
                    f"more than {needs.rejected:.0%} of the views do not fit the others ({names}); "
                    "is the board flat?"
                ]
            )


def _fit(
    kept: list[BoardView], rejected: list[BoardView], size: tuple[int, int], model: str
) -> IntrinsicCalibration:
    try:
        _, K, D, rotations, translations, deviations, _, _ = cv2.calibrateCameraExtended(
            [view.points.astype(np.float32) for view in kept],
            [view.corners.astype(np.float32).reshape(-1, 1, 2) for view in kept],
            size,
            np.eye(3),  # the next two are only results: no flag makes them a guess
            np.zeros(8),
            flags=MODELS[model],
        )
    except cv2.error as error:
        raise CalibrationRefusedError(
            [f"OpenCV finds no solution ({error.err}); tilt the board in some views"]
        ) from error
    errors = [
        view.corners - cv2.projectPoints(view.points, rotation, translation, K, D)[0].reshape(-1, 2)
        for view, rotation, translation in zip(kept, rotations, translations, strict=True)
    ]
    normals = np.array([cv2.Rodrigues(rotation)[0][2, 2] for rotation in rotations])
    tilts = np.degrees(np.arccos(np.clip(np.abs(normals), 0.0, 1.0)))
    focal = np.ravel(deviations)[:2] / np.array([K[0, 0], K[1, 1]])
    distortion = np.asarray(D, float).ravel()[: 8 if model == "rational" else 5]
    return IntrinsicCalibration(
        size,
        np.asarray(K, float),
        distortion,
        list(kept),
        list(rejected),
        errors,
        tilts,
        float(np.max(np.abs(focal))),
    )


def faults(result: IntrinsicCalibration, needs: Requirements) -> list[str]:
    """Why a calibration shall not be used; empty if it may."""
    reasons = missing_views(result.views, result.size, needs)
    tilted = float(np.mean(result.tilts >= needs.tilt))
    if tilted < needs.tilted:
        reasons.append(
            f"the board is tilted by {needs.tilt:g} degrees or more in {tilted:.0%} of the views, at least "
            f"{needs.tilted:.0%} are needed: the focal length shows in tilted views only"
        )
    if not result.focal_deviation <= needs.focal_deviation:
        reasons.append(
            f"the focal length is uncertain by {result.focal_deviation:.1%} (at most "
            f"{needs.focal_deviation:.1%}); add views with the board tilted by 30 to 45 degrees, to all sides"
        )
    if not result.rms <= needs.rms:
        reasons.append(
            f"the reprojection error is {result.rms:.2f} pixels RMS (at most {needs.rms:g}); is the board "
            "flat, are its lengths right and the pictures sharp, is the focus fixed?"
        )
    return reasons
