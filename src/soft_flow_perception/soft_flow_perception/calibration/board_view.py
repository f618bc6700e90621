"""What a picture shows of the board."""

from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from soft_flow_perception.calibration.charuco_board import Board

MIN_CORNERS = 8  # of a view that is used
_FLAT = 1e-4  # m^2: corners whose second principal variance is smaller lie on a line


@dataclass(frozen=True)
class BoardView:
    """Corners of the board that a picture shows.

    Attributes:
        name: of the picture.
        ids: (N,) which corners.
        corners: (N, 2) where they are in the picture, pixels; the centre of the top left pixel is (0, 0).
        points: (N, 3) the same in the board's frame, m.
    """

    name: str
    ids: NDArray[np.int64]
    corners: NDArray[np.float64]
    points: NDArray[np.float64]

    @property
    def usable(self) -> bool:
        """Whether enough corners are seen, and not all on one line."""
        if len(self.ids) < MIN_CORNERS:
            return False
        spread = np.linalg.svd(self.points[:, :2] - self.points[:, :2].mean(axis=0), compute_uv=False)
        return bool(spread[1] ** 2 > _FLAT)


class BoardDetector:
    """Finds a board's corners in pictures."""

    def __init__(self, board: Board) -> None:
        """Look for `board`."""
        self._detector = cv2.aruco.CharucoDetector(board.opencv())
        self._points = board.corners

    def detect(self, image: np.ndarray, name: str = "") -> BoardView:
        """The corners in an RGB picture (H, W, 3) or a grey one (H, W); maybe none."""
        grey = cv2.cvtColor(image, cv2.COLOR_RGB2GRAY) if image.ndim == 3 else image
        corners, ids, _, _ = self._detector.detectBoard(grey)
        if ids is None or len(ids) == 0:
            return BoardView(name, np.empty(0, np.int64), np.empty((0, 2)), np.empty((0, 3)))
        ids = np.asarray(ids, np.int64).ravel()
        return BoardView(name, ids, np.asarray(corners, float).reshape(-1, 2), self._points[ids])


def edge_width(image: np.ndarray, view: BoardView) -> float:
    """How many pixels the edges between black and white take at the view's corners (median).

    Contrast of a corner's surroundings divided by their steepest slope: about 2 in a sharp picture, more
    where it is out of focus or moved while it was exposed. No board seen: infinite.
    """
    grey = (cv2.cvtColor(image, cv2.COLOR_RGB2GRAY) if image.ndim == 3 else image).astype(np.float32)
    slope = np.hypot(cv2.Scharr(grey, cv2.CV_32F, 1, 0), cv2.Scharr(grey, cv2.CV_32F, 0, 1)) / 32
    widths, reach = [], 5
    for x, y in np.round(view.corners).astype(int):
        window = (slice(max(y - reach, 0), y + reach + 1), slice(max(x - reach, 0), x + reach + 1))
        contrast = np.ptp(grey[window]) if grey[window].size else 0.0
        if contrast > 0:
            widths.append(contrast / max(float(slope[window].max()), 1e-6))
    return float(np.median(widths)) if widths else float("inf")
