"""Where in the picture corners of the board were seen."""

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from soft_flow_perception.calibration.board_view import BoardView

COLUMNS, ROWS = 8, 6
_NAMES = (
    ("top left", "top", "top right"),
    ("left", "middle", "right"),
    ("bottom left", "bottom", "bottom right"),
)


def cell_sums(
    corners: NDArray[np.float64], values: NDArray[np.float64], size: tuple[int, int]
) -> NDArray[np.float64]:
    """Sums of the values (N,) of corners (N, 2) in each cell of the grid over a picture, (ROWS, COLUMNS)."""
    sums = np.zeros((ROWS, COLUMNS))
    cells = ((corners + 0.5) / size * (COLUMNS, ROWS)).astype(int)  # the first pixel begins at -0.5
    column, row = np.clip(cells, 0, (COLUMNS - 1, ROWS - 1)).T
    np.add.at(sums, (row, column), values)
    return sums


@dataclass(frozen=True)
class Coverage:
    """Corners seen in each cell of a grid over the picture.

    Attributes:
        counts: (ROWS, COLUMNS).
    """

    counts: NDArray[np.int64]

    @classmethod
    def of(cls, views: Iterable[BoardView], size: tuple[int, int]) -> "Coverage":
        """Of all views in pictures of `size` (width, height)."""
        corners = np.concatenate([np.empty((0, 2)), *(view.corners for view in views)])
        return cls(cell_sums(corners, np.ones(len(corners)), size).astype(np.int64))

    @property
    def fraction(self) -> float:
        """Part of the cells that saw a corner."""
        return float(np.mean(self.counts > 0))

    @property
    def empty_regions(self) -> list[str]:
        """Ninths of the picture of which less than half the cells saw a corner, by name."""
        rows, columns = (np.linspace(0, n, 4).round().astype(int) for n in self.counts.shape)
        return [
            _NAMES[i][j]
            for i in range(3)
            for j in range(3)
            if np.mean(self.counts[rows[i] : rows[i + 1], columns[j] : columns[j + 1]] > 0) < 0.5
        ]

    def picture(self) -> list[str]:
        """A line of text for each row of the grid, a sign for each cell: the more corners, the darker."""
        shades = np.digitize(self.counts, (1, 4, 12))
        return ["".join(" ·▒█"[shade] * 2 for shade in row) for row in shades]
