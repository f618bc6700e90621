"""The board that is calibrated with: a chessboard with ArUco markers in its white squares (ChArUco).

Each corner is known by itself, so a view may show a part of the board only.
"""

from pathlib import Path
from typing import Annotated, Literal

import cv2
import numpy as np
import yaml
from numpy.typing import NDArray
from pydantic import Field, model_validator
from typing_extensions import Self

from soft_flow_contract.errors import ContractError
from soft_flow_contract.strict_model import YamlModel


class Board(YamlModel):
    """Size of a board; lengths in millimetres, of the printed board, measured."""

    squares_x: Annotated[int, Field(ge=4, le=30)] = 7
    squares_y: Annotated[int, Field(ge=4, le=30)] = 10
    square: Annotated[float, Field(gt=1, le=200)] = 25.0  # mm, edge of a square
    marker: Annotated[float, Field(gt=0.5, le=200)] = 17.5  # mm, edge of a marker
    # 5x5: tracked objects, which may be in the picture too, usually wear 4x4 markers.
    dictionary: Literal["DICT_4X4_250", "DICT_5X5_250", "DICT_6X6_250"] = "DICT_5X5_250"

    @model_validator(mode="after")
    def _fits(self) -> Self:
        if not 0.4 * self.square <= self.marker <= 0.9 * self.square:
            raise ValueError(
                f"marker of {self.marker:g} mm: expected 40 to 90 % of the square, {self.square:g} mm"
            )
        if self.squares_x * self.squares_y // 2 > 250:
            raise ValueError(f"{self.squares_x} x {self.squares_y} squares need more than 250 markers")
        return self

    @property
    def size(self) -> tuple[float, float]:
        """Width and height, mm."""
        return self.squares_x * self.square, self.squares_y * self.square

    @property
    def description(self) -> str:
        """All parameters on a line."""
        return (
            f"ChArUco {self.squares_x} x {self.squares_y}, square {self.square:g} mm, marker "
            f"{self.marker:g} mm, {self.dictionary}"
        )

    @property
    def corners(self) -> NDArray[np.float64]:
        """Inner corners (N, 3) in the board's frame, m: origin at its top left, x right, y down, z away."""
        return np.asarray(self.opencv().getChessboardCorners(), float)

    def opencv(self) -> "cv2.aruco.CharucoBoard":
        """The board of OpenCV, lengths in metres."""
        require_charuco()
        dictionary = cv2.aruco.getPredefinedDictionary(getattr(cv2.aruco, self.dictionary))
        squares = (self.squares_x, self.squares_y)
        return cv2.aruco.CharucoBoard(squares, self.square * 1e-3, self.marker * 1e-3, dictionary)

    def write(self, path: Path) -> None:
        """Write the parameters, for `--board`."""
        text = yaml.safe_dump(self.model_dump(), sort_keys=False)
        remark = "# Measure the squares of the print over the whole board, and correct both lengths (mm).\n"
        path.write_text(remark + text, encoding="utf-8")


def require_charuco() -> None:
    """Check OpenCV.

    Raises:
        ContractError: its version has no ChArUco detector; says which has.
    """
    if not hasattr(cv2.aruco, "CharucoDetector"):
        raise ContractError(
            f"OpenCV {cv2.__version__} has no cv2.aruco.CharucoDetector; 4.7 or newer has: "
            "python -m pip install 'opencv-python-headless>=4.7'"
        )


def load_board(path: Path | None) -> Board:
    """The board of a file, or the one that `board` draws.

    Raises:
        SpecificationError: the file is broken.
    """
    return Board() if path is None else Board.load(path)
