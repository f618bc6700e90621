"""Collects views of the board from a camera, while a person moves the board."""

import threading
from collections.abc import Callable, Iterator
from pathlib import Path

import cv2
import numpy as np

from soft_flow_contract.robot_cell import CameraConfiguration
from soft_flow_perception.calibration.board_view import BoardDetector, BoardView, edge_width
from soft_flow_perception.calibration.charuco_board import Board
from soft_flow_perception.calibration.coverage import Coverage
from soft_flow_perception.calibration.intrinsics import Requirements, missing_views
from soft_flow_perception.calibration.view_choice import ViewChoice
from soft_flow_perception.camera_sources.camera_source import CameraError, CameraSource
from soft_flow_perception.camera_sources.frame_reader import FrameReader, ReaderLimits, ReaderState

PATIENCE = 10.0  # s that a camera may be lost


def frames(
    camera: CameraConfiguration, source: CameraSource, patience: float = PATIENCE
) -> Iterator[np.ndarray]:
    """The newest picture, again and again, until a recording ends.

    Raises:
        CameraError: the camera cannot be opened, or was lost for longer than `patience` seconds; says why.
    """
    news = threading.Event()
    reader = FrameReader(camera, source, ReaderLimits(frozen_limit=0.0), news.set)
    reader.start()
    pause, lost = 0.1, 0.0
    try:
        while True:
            arrived = news.wait(pause)
            news.clear()
            taken, report = reader.take(), reader.report()
            if taken is not None:
                lost = 0.0
                yield taken[0].image
            elif report.state is ReaderState.ENDED:
                return
            elif report.state is ReaderState.LOST and not arrived:
                lost += pause
                if lost > patience or not report.frames:
                    raise CameraError(report.reason)
    finally:
        reader.stop()


def collect_views(
    pictures: Iterator[np.ndarray],
    board: Board,
    size: tuple[int, int],
    needs: Requirements,
    wanted: int,
    folder: Path,
    show: Callable[[ViewChoice, str], None],
) -> list[BoardView]:
    """Keep views until there are `wanted` that cover the picture, or no more pictures come, or Ctrl-C.

    Args:
        pictures: RGB (H, W, 3) each.
        board: what is shown.
        size: width and height of the pictures.
        needs: what the calibration will ask for.
        wanted: number of views.
        folder: where the pictures of kept views go, as PNG; the same calibration can be done from there.
        show: called after every picture, with what came of it.
    """
    detector, choice = BoardDetector(board), ViewChoice(board, size)
    folder.mkdir(parents=True, exist_ok=True)
    try:
        for picture in pictures:
            view = detector.detect(picture, f"{len(choice.kept):03d}.png")
            refused = choice.offer(view, edge_width(picture, view))
            if not refused:
                cv2.imwrite(str(folder / view.name), picture[:, :, ::-1])
            show(choice, refused)
            if len(choice.kept) >= wanted and not missing_views(choice.kept, size, needs):
                break
    except KeyboardInterrupt:
        pass  # enough, says the person; whether it is, the calibration says
    return choice.kept


def progress_text(choice: ViewChoice, refused: str, wanted: int) -> str:
    """What the terminal shows: the picture's grid with the corners so far, and what to do next."""
    coverage = Coverage.of(choice.kept, choice.size)
    empty = ", ".join(coverage.empty_regions)
    lines = [f"    |{row}|" for row in coverage.picture()]
    lines.append(f"{len(choice.kept)} of {wanted} views, {coverage.fraction:.0%} of the picture covered")
    lines.append(f"still empty: {empty}" if empty else "tilt the board to all sides, come near, go far")
    lines.append(refused or "kept")
    return "\n".join(lines)
