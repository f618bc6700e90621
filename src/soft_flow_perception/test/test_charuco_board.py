"""The board: drawn true to size, found again, refused where it does not fit."""

import re
from pathlib import Path

import numpy as np
import pytest
from board_scene import BOARD, Renderer, board_pose, project
from PIL import Image

from soft_flow_contract.errors import ContractError, SpecificationError
from soft_flow_perception.calibration.board_drawing import PIXELS_PER_MM, draw_page, write_page
from soft_flow_perception.calibration.board_view import BoardDetector, BoardView, edge_width
from soft_flow_perception.calibration.charuco_board import Board, load_board


def test_the_printed_corners_are_one_square_apart() -> None:
    page = draw_page(BOARD)
    assert page.shape == (297 * PIXELS_PER_MM, 210 * PIXELS_PER_MM)
    step = 5  # the detector needs no 500 dpi
    view = BoardDetector(BOARD).detect(np.ascontiguousarray(page[::step, ::step]))
    assert len(view.ids) == 6 * 9
    millimetres = (view.corners + 0.5) * step / PIXELS_PER_MM
    expected = view.points[:, :2] * 1e3 + (np.array([210, 297]) - BOARD.size) / 2
    np.testing.assert_allclose(millimetres, expected, atol=0.3)


@pytest.mark.parametrize("suffix", [".pdf", ".png"])
def test_the_page_is_a4_true_to_size(tmp_path: Path, suffix: str) -> None:
    path = tmp_path / f"board{suffix}"
    write_page(BOARD, path)
    if suffix == ".pdf":
        found = re.search(rb"/MediaBox \[ 0 0 ([\d.]+) ([\d.]+) \]", path.read_bytes())
        assert found is not None
        size = np.array([float(found[1]), float(found[2])]) / 72 * 25.4  # points
    else:
        with Image.open(path) as image:
            size = np.array(image.size) / image.info["dpi"] * 25.4
    np.testing.assert_allclose(size, [210, 297], atol=0.05)


def test_a_board_that_does_not_fit_or_another_kind_of_file_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ContractError, match=r"300 x 250 mm does not fit on a4"):
        draw_page(Board(squares_x=12))
    draw_page(Board(squares_x=10, squares_y=14), "a3")
    with pytest.raises(ContractError, match=r"\.pdf or \.png"):
        write_page(BOARD, tmp_path / "board.jpg")


def test_parameters_are_recorded_and_read_back(tmp_path: Path) -> None:
    board = Board(squares_x=5, squares_y=7, square=30.2, marker=22.1, dictionary="DICT_4X4_250")
    board.write(tmp_path / "board.yaml")
    assert load_board(tmp_path / "board.yaml") == board
    assert load_board(None) == Board()
    (tmp_path / "board.yaml").write_text("squares: 3\n")
    with pytest.raises(SpecificationError, match="did you mean 'square'"):
        load_board(tmp_path / "board.yaml")


def test_markers_must_fit_their_squares() -> None:
    with pytest.raises(SpecificationError, match="40 to 90 %"):
        Board.from_mapping({"square": 20, "marker": 20}, "board")


@pytest.mark.parametrize("pose", [(0.5, 0.5, 0.4, 20, -25, 30), (0.2, 0.3, 0.3, -30, 10, 5)])
def test_corners_are_found_where_they_are(renderer: Renderer, pose: tuple[float, ...]) -> None:
    truth = project(board_pose(*pose))
    view = BoardDetector(BOARD).detect(renderer.render(board_pose(*pose)))
    common, i, j = np.intersect1d(view.ids, truth.ids, return_indices=True)
    assert view.usable and len(common) > 30
    errors = np.linalg.norm(view.corners[i] - truth.corners[j], axis=1)
    assert np.median(errors) < 0.1 and errors.max() < 0.5
    np.testing.assert_allclose(view.points, BOARD.corners[view.ids])


def test_without_a_board_nothing_is_found() -> None:
    view = BoardDetector(BOARD).detect(np.full((480, 640, 3), 128, np.uint8))
    assert len(view.ids) == 0 and not view.usable


def test_corners_on_one_line_are_no_usable_view() -> None:
    corners = BOARD.corners
    line = corners[np.isclose(corners[:, 0], corners[0, 0])]
    assert len(line) == 9
    ids = np.arange(9)
    assert not BoardView("", ids, line[:, :2] * 1e3, line).usable
    assert BoardView("", ids, corners[:9, :2] * 1e3, corners[:9]).usable  # more than one row


def test_edges_take_more_pixels_where_the_picture_is_blurred(renderer: Renderer) -> None:
    import cv2

    picture, detector = renderer.render(board_pose(0.5, 0.5, 0.35)), BoardDetector(BOARD)
    sharp = edge_width(picture, detector.detect(picture))
    blurred = cv2.GaussianBlur(picture, (0, 0), 2.5)
    moved = cv2.blur(picture, (11, 1))
    assert sharp < 3 < 4 < edge_width(blurred, detector.detect(blurred))
    assert edge_width(moved, detector.detect(moved)) > 1.2 * sharp
    assert edge_width(picture, detector.detect(np.zeros_like(picture))) == np.inf
