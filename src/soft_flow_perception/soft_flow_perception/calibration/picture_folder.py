"""Views of the board from pictures in a folder."""

from pathlib import Path

import cv2
import numpy as np

from soft_flow_contract.errors import ContractError
from soft_flow_perception.calibration.board_view import BoardDetector, BoardView
from soft_flow_perception.calibration.charuco_board import Board
from soft_flow_perception.camera_sources.folder_source import pictures


def read_picture(path: Path) -> np.ndarray:
    """RGB (H, W, 3) uint8.

    Raises:
        ContractError: it is no picture.
    """
    image = cv2.imread(str(path), cv2.IMREAD_COLOR) if path.is_file() else None
    if image is None:
        raise ContractError(f"{path}: cannot be read as a picture")
    return cv2.cvtColor(image, cv2.COLOR_BGR2RGB)


def views_of_folder(folder: Path, board: Board) -> tuple[list[BoardView], list[str], tuple[int, int]]:
    """All usable views, the names of the other pictures, and the size (width, height) of all.

    Raises:
        ContractError: there is no picture, one cannot be read, or sizes differ.
    """
    detector = BoardDetector(board)
    views, unusable, size = [], [], None
    for path in pictures(folder):
        image = read_picture(path)
        found = (image.shape[1], image.shape[0])
        if size not in (None, found):
            raise ContractError(
                f"{path}: is of {found[0]}x{found[1]} pixels, the pictures before it of {size[0]}x{size[1]}; "
                "calibrate one camera at one size"
            )
        size = found
        view = detector.detect(image, path.name)
        if view.usable:
            views.append(view)
        else:
            unusable.append(path.name)
    assert size is not None  # a folder without pictures is refused
    return views, unusable, size
