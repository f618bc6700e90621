"""`intrinsics`: calibrate a camera from a live picture or from pictures in a folder."""

import argparse
import dataclasses
import sys
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np

from soft_flow_contract.errors import ContractError
from soft_flow_contract.robot_cell import CameraConfiguration, RobotCell, resolve
from soft_flow_perception.calibration.board_view import BoardView
from soft_flow_perception.calibration.charuco_board import Board, load_board
from soft_flow_perception.calibration.intrinsics import (
    MODELS,
    Requirements,
    calibrate_intrinsics,
    faults,
)
from soft_flow_perception.calibration.intrinsics_picture import draw_calibration, draw_coverage
from soft_flow_perception.calibration.live_views import collect_views, frames, progress_text
from soft_flow_perception.calibration.picture_folder import read_picture, views_of_folder
from soft_flow_perception.calibration.refusal import CalibrationRefusedError
from soft_flow_perception.calibration.view_choice import ViewChoice
from soft_flow_perception.camera_sources.source_of_camera import source_of_camera

Size = tuple[int, int]


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the arguments."""
    usual = Requirements()
    parser.add_argument("--camera", required=True, metavar="NAME", help="its name in the cell")
    parser.add_argument("--robot", type=Path, metavar="FILE", help="the cell (config/robots/NAME.yaml)")
    parser.add_argument(
        "--images", type=Path, metavar="DIR", help="use these pictures; without: the camera's live picture"
    )
    parser.add_argument(
        "--board", type=Path, metavar="FILE", help="that `board` wrote (default: the usual one)"
    )
    parser.add_argument(
        "--output", type=Path, metavar="FILE", help="default: the calibration that the cell names"
    )
    parser.add_argument(
        "--model", choices=sorted(MODELS), default="plain",
        help="distortion: plain (k1 k2 p1 p2), k3, rational (wide angle); default: %(default)s",
    )  # fmt: skip
    parser.add_argument("--views", type=int, default=25, help="views to collect live (default: %(default)s)")
    parser.add_argument("--keep", type=Path, metavar="DIR", help="live pictures (default: beside the output)")
    parser.add_argument(
        "--max-error", type=float, default=usual.rms, help="pixels RMS (default: %(default)s)"
    )


def run(arguments: argparse.Namespace) -> int:
    """Collect views, calibrate, draw; write the calibration only if it is good.

    Raises:
        ContractError: a file is missing or broken.
        CalibrationRefusedError: the calibration would be bad; its picture is written all the same.
    """
    camera = RobotCell.load(arguments.robot).camera(arguments.camera) if arguments.robot else None
    output = _output(arguments, camera)
    board = load_board(arguments.board)
    needs = dataclasses.replace(Requirements(), rms=arguments.max_error)
    folder = arguments.images or arguments.keep or output.with_name(f"{output.stem}_pictures")
    if arguments.images is None:
        views, size = _live(arguments, camera, board, needs, folder)
    else:
        views, size = _from_folder(folder, board)
    if camera is not None and size != (camera.width, camera.height):
        raise ContractError(
            f"{folder}: pictures of {size[0]}x{size[1]} pixels, camera '{camera.name}' has "
            f"{camera.width}x{camera.height}"
        )
    _calibrate(arguments, views, size, board, needs, folder, output)
    return 0


def _output(arguments: argparse.Namespace, camera: CameraConfiguration | None) -> Path:
    if camera is None and arguments.images is None:
        raise ContractError("nothing to calibrate from: give --robot for the live camera, or --images")
    if arguments.output:
        return Path(arguments.output)
    if camera is None or not camera.calibration:
        raise ContractError(
            "where to? give --output, or a cell (--robot) that names this camera's calibration"
        )
    return resolve(camera.calibration, arguments.robot)


def _from_folder(folder: Path, board: Board) -> tuple[list[BoardView], Size]:
    views, unusable, size = views_of_folder(folder, board)
    print(f"{folder}: the board is seen in {len(views)} pictures", flush=True)
    if unusable:
        print(f"not used, for lack of corners: {', '.join(unusable)}")
    return views, size


def _live(
    arguments: argparse.Namespace,
    camera: CameraConfiguration | None,
    board: Board,
    needs: Requirements,
    folder: Path,
) -> tuple[list[BoardView], Size]:
    assert camera is not None  # `_output` asks for it
    if folder.is_dir() and any(folder.iterdir()):
        raise ContractError(
            f"{folder}: has pictures already; use them (--images), remove them, or give --keep"
        )
    source = source_of_camera(camera, arguments.robot, loop=False)
    size = (camera.width, camera.height)
    print(f"move the board before camera '{camera.name}'; Ctrl-C: enough")
    pictures = frames(camera, source)
    views = collect_views(pictures, board, size, needs, arguments.views, folder, _shower(arguments.views))
    print(f"\n{len(views)} pictures are in {folder}")
    return views, size


def _shower(wanted: int) -> Callable[[ViewChoice, str], None]:
    """Shows the progress: over itself on a terminal, else a line for every view that is kept."""
    lines_up = 0

    def show(choice: ViewChoice, refused: str) -> None:
        nonlocal lines_up
        text = progress_text(choice, refused, wanted)
        if sys.stdout.isatty():
            up = f"\x1b[{lines_up}A" if lines_up else ""
            print(up + "\n".join(f"\x1b[2K{line}" for line in text.splitlines()), flush=True)
            lines_up = len(text.splitlines())
        elif not refused:
            print(text.splitlines()[-3], flush=True)

    return show


def _calibrate(
    arguments: argparse.Namespace,
    views: list[BoardView],
    size: Size,
    board: Board,
    needs: Requirements,
    folder: Path,
    output: Path,
) -> None:
    picture, title = output.with_suffix(".png"), f"camera '{arguments.camera}', {board.description}"
    try:
        result = calibrate_intrinsics(views, size, arguments.model, needs)
    except CalibrationRefusedError:
        draw_coverage(views, size, title, picture)
        print(f"{picture}: where the board was seen")
        raise
    draw_calibration(result, needs, _example(folder, result.views), title, picture)
    fx, fy, cx, cy = (result.camera_matrix[i] for i in ((0, 0), (1, 1), (0, 2), (1, 2)))
    print(
        f"{len(result.views)} views ({len(result.rejected)} left out), {result.rms:.3f} pixels RMS; focal "
        f"lengths {fx:.1f} {fy:.1f} (+-{result.focal_deviation:.2%}), centre {cx:.1f} {cy:.1f}, distortion "
        f"{np.array2string(result.distortion, precision=4)}\n{picture}: how well it fits"
    )
    if reasons := faults(result, needs):
        raise CalibrationRefusedError(reasons)
    remarks = [
        f"soft-flow calibrate intrinsics, {time.strftime('%Y-%m-%d %H:%M')}",
        f"{len(result.views)} views, {result.rms:.3f} pixels RMS, {result.coverage.fraction:.0%} covered",
        board.description,
    ]
    result.camera_info(arguments.camera).write(output, remarks)
    print(f"{output}: written")


def _example(folder: Path, views: list[BoardView]) -> np.ndarray | None:
    """The picture with the corner that is farthest from the middle: there, distortion shows."""
    middle = np.mean([view.corners.mean(axis=0) for view in views], axis=0)
    farthest = max(views, key=lambda view: float(np.max(np.linalg.norm(view.corners - middle, axis=1))))
    path = folder / farthest.name
    return read_picture(path) if path.is_file() else None
