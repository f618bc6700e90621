"""The board as a page to print, true to size."""

from pathlib import Path

import cv2
import numpy as np
from PIL import Image

from soft_flow_contract.errors import ContractError
from soft_flow_perception.calibration.charuco_board import Board

PIXELS_PER_MM = 20  # 508 dpi: squares of whole pixels
PAGES = {"a4": (210, 297), "a3": (297, 420)}  # mm
MARGIN = 5  # mm that printers leave white
INCH = 25.4  # mm
_RULER = 100  # mm


def draw_page(board: Board, page: str = "a4") -> np.ndarray:
    """The page (H, W) uint8 at `PIXELS_PER_MM`: the board in its middle, a ruler and the parameters below.

    Raises:
        ContractError: the board does not fit.
    """
    width, height = PAGES[page]
    board_width, board_height = board.size
    left, top = (width - board_width) / 2, (height - board_height) / 2
    if left < MARGIN or top < MARGIN + 8:  # the text needs 8 mm
        raise ContractError(
            f"a board of {board_width:g} x {board_height:g} mm does not fit on {page} ({width} x {height} "
            "mm); choose fewer or smaller squares, or another page"
        )
    canvas = np.full((height * PIXELS_PER_MM, width * PIXELS_PER_MM), 255, np.uint8)
    pixels = (round(board_width * PIXELS_PER_MM), round(board_height * PIXELS_PER_MM))
    x, y = round(left * PIXELS_PER_MM), round(top * PIXELS_PER_MM)
    canvas[y : y + pixels[1], x : x + pixels[0]] = board.opencv().generateImage(
        pixels, marginSize=0, borderBits=1
    )
    _draw_ruler(canvas, x, y + pixels[1] + 3 * PIXELS_PER_MM)
    _write(canvas, board.description, x, y + pixels[1] + 10 * PIXELS_PER_MM)
    return canvas


def _draw_ruler(canvas: np.ndarray, x: int, y: int) -> None:
    end = x + _RULER * PIXELS_PER_MM
    cv2.line(canvas, (x, y), (end, y), 0, 3)
    for mark in (x, end):
        cv2.line(canvas, (mark, y - PIXELS_PER_MM), (mark, y + PIXELS_PER_MM), 0, 3)
    _write(canvas, f"{_RULER} mm: print at 100 %, then measure", end + 2 * PIXELS_PER_MM, y + PIXELS_PER_MM)


def _write(canvas: np.ndarray, text: str, x: int, y: int) -> None:
    cv2.putText(canvas, text, (x, y), cv2.FONT_HERSHEY_SIMPLEX, 2.0, 0, 4, cv2.LINE_AA)


def write_page(board: Board, output: Path, page: str = "a4") -> None:
    """Write the page as PDF or PNG, by the file's suffix, with its resolution.

    Raises:
        ContractError: another suffix, or the board does not fit.
    """
    if output.suffix.lower() not in (".pdf", ".png"):
        raise ContractError(f"{output}: expected a name that ends in .pdf or .png")
    image = Image.fromarray(draw_page(board, page) > 127)  # black and white: lossless also in a PDF
    resolution = PIXELS_PER_MM * INCH
    output.parent.mkdir(parents=True, exist_ok=True)
    if output.suffix.lower() == ".png":
        image.save(output, dpi=(resolution, resolution))
    else:
        image.save(output, resolution=resolution)
