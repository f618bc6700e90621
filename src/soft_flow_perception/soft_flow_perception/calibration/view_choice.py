"""Chooses, from a live picture, the views of the board that are worth keeping."""

from dataclasses import dataclass, field

import cv2
import numpy as np
from numpy.typing import NDArray

from soft_flow_perception.calibration.board_view import BoardView
from soft_flow_perception.calibration.charuco_board import Board


@dataclass
class ViewChoice:
    """Keeps a view if the board is sharp in it, held still, and elsewhere than in all kept ones.

    Attributes:
        board: what is shown.
        size: width and height of the picture, pixels.
        sharp: pixels that an edge may take at most.
        still: pixels by which corners may move from one picture to the next.
        elsewhere: a board is seen anew if its outline is that far from each kept one, on average, relative
            to the picture's diagonal,
        tilted: or if it has another shape, by this part of its size: 0.065 is a tilt of some 20 degrees.
        kept: the views that were kept.
    """

    board: Board
    size: tuple[int, int]
    sharp: float = 4.0
    still: float = 1.5
    elsewhere: float = 0.06
    tilted: float = 0.065
    kept: list[BoardView] = field(default_factory=list)
    _outlines: list[NDArray[np.float64]] = field(default_factory=list)
    _last: BoardView | None = None

    def offer(self, view: BoardView, width: float) -> str:
        """Take the view if it is worth it; answers "" then, and else why not.

        Args:
            view: what the detector found.
            width: of the edges, pixels (`edge_width`).
        """
        last, self._last = self._last, view
        if not view.usable:
            return f"{len(view.ids)} corners seen: show more of the board"
        if width > self.sharp:
            return f"not sharp (an edge takes {width:.1f} pixels): hold still, more light, adjust the focus"
        if last is None or _motion(last, view) > self.still:
            return "hold still"
        outline = self._outline(view)
        if any(self._like(outline, other) for other in self._outlines):
            return "seen already: move or tilt the board"
        self.kept.append(view)
        self._outlines.append(outline)
        return ""

    def _like(self, first: NDArray[np.float64], second: NDArray[np.float64]) -> bool:
        near = _distance(first, second) < self.elsewhere * float(np.hypot(*self.size))
        return near and _shape_distance(first, second) < self.tilted

    def _outline(self, view: BoardView) -> NDArray[np.float64]:
        """(4, 2) the board's corners in the picture, also those that it does not show."""
        homography, _ = cv2.findHomography(view.points[:, :2], view.corners)
        width, height = (length * 1e-3 for length in self.board.size)
        corners = np.array([[0, 0], [width, 0], [width, height], [0, height]])
        outline = cv2.perspectiveTransform(corners.reshape(-1, 1, 2), homography)
        return np.asarray(outline, float).reshape(4, 2)


def _motion(before: BoardView, now: BoardView) -> float:
    _, first, second = np.intersect1d(before.ids, now.ids, return_indices=True)
    return _distance(before.corners[first], now.corners[second]) if first.size else float("inf")


def _distance(first: NDArray[np.float64], second: NDArray[np.float64]) -> float:
    return float(np.mean(np.linalg.norm(first - second, axis=1)))


def _shape_distance(first: NDArray[np.float64], second: NDArray[np.float64]) -> float:
    """How much two outlines (4, 2) differ when they are moved, turned and scaled onto each other."""
    a, b = (_centred(outline @ np.array([1, 1j])) for outline in (first, second))
    turn = np.vdot(b, a) / abs(np.vdot(b, a))
    return float(np.mean(np.abs(a - b * turn)))


def _centred(points: NDArray[np.complex128]) -> NDArray[np.complex128]:
    shifted = points - points.mean()
    return shifted / np.sqrt(np.mean(np.abs(shifted) ** 2))
