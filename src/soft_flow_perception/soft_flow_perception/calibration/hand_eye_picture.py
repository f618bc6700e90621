"""The picture of a hand-eye calibration: frames in space, errors of each sample, and a reprojection."""

from pathlib import Path

import cv2
import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from mpl_toolkits.mplot3d.axes3d import Axes3D
from numpy.typing import NDArray

from soft_flow_perception.calibration.charuco_board import Board
from soft_flow_perception.calibration.hand_eye_quality import HandEyeCalibration
from soft_flow_perception.calibration.rigid_transform import from_pose

Array = NDArray[np.float64]


def draw_hand_eye(result: HandEyeCalibration, board: Board, folder: Path, title: str, output: Path) -> None:
    """Draw it to a file; `folder` has the samples' pictures, where there are any."""
    figure = Figure(figsize=(13, 9.5), layout="constrained")
    figure.suptitle(title)
    grid = figure.add_gridspec(2, 2)
    _draw_frames(figure.add_subplot(grid[0, 0], projection="3d"), result, board)
    _draw_errors(figure.add_subplot(grid[1, 0]), result)
    order = np.argsort(result.sample_rms)
    for row, index, name in ((0, order[len(order) // 2], "a middling"), (1, order[-1], "the worst")):
        _draw_overlay(figure.add_subplot(grid[row, 1]), result, folder, int(index), name)
    output.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(output, dpi=110)


def _draw_frames(axes: Axes3D, result: HandEyeCalibration, board: Board) -> None:
    """Everything in the base frame: base, flange, camera and board of every sample."""
    problem, X, Z = result.problem, result.solution.X, result.solution.Z
    flanges = [from_pose(sample.flange_in_base) for sample in problem.samples]
    on_flange = problem.parent == "flange"
    cameras = [flange @ X for flange in flanges] if on_flange else [X]
    boards = [Z] if on_flange else [flange @ Z for flange in flanges]
    _draw_axes(axes, np.eye(4), 0.15)
    axes.text(0, 0, 0, "base")
    for frame in flanges:
        _draw_axes(axes, frame, 0.03)
    for frame in cameras:
        _draw_axes(axes, frame, 0.05)
        axes.plot(*frame[:3, 3], "ks", markersize=4)
    width, height = (length * 1e-3 for length in board.size)
    outline = np.array(
        [[0, 0, 0, 1], [width, 0, 0, 1], [width, height, 0, 1], [0, height, 0, 1], [0, 0, 0, 1]]
    )
    for frame in boards:
        axes.plot(*(outline @ frame.T)[:, :3].T, color="0.4", linewidth=1)
    axes.set(xlabel="x, m", ylabel="y, m", zlabel="z, m", title="cameras (black), flanges, boards (grey)")
    axes.set_aspect("equal")


def _draw_axes(axes: Axes3D, frame: Array, length: float) -> None:
    for column, color in enumerate("rgb"):
        end = frame[:3, 3] + length * frame[:3, column]
        axes.plot(*np.column_stack([frame[:3, 3], end]), color=color, linewidth=1)


def _draw_errors(axes: Axes, result: HandEyeCalibration) -> None:
    index = np.arange(len(result.fit))
    axes.bar(index - 0.2, result.fit[:, 0], 0.4, label="fitted")
    axes.bar(index + 0.2, result.left_out[:, 0], 0.4, label="left out")
    for i, value in enumerate(result.left_out[:, 1]):
        axes.annotate(f"{value:.2f}°", (i, result.left_out[i, 0]), fontsize=6, rotation=90)
    names = [Path(sample.view.name).stem for sample in result.problem.samples]
    axes.set_xticks(index, names, rotation=90, fontsize=7)
    axes.set(ylabel="mm at the board's middle", title="each sample against its own picture")
    axes.legend()


def _draw_overlay(axes: Axes, result: HandEyeCalibration, folder: Path, index: int, which: str) -> None:
    view = result.problem.samples[index].view
    errors = result.problem.errors(result.solution.X, result.solution.Z)[index]
    image = cv2.imread(str(folder / view.name), cv2.IMREAD_GRAYSCALE)
    if image is not None:
        axes.imshow(image, cmap="gray", vmin=0, vmax=255)
    axes.plot(*view.corners.T, "o", color="tab:green", fillstyle="none", markersize=6, label="seen")
    axes.plot(*(view.corners - errors).T, "r+", markersize=6, label="from the pose of the flange")
    info = result.problem.info
    axes.set(xlim=(-0.5, info.image_width - 0.5), ylim=(info.image_height - 0.5, -0.5), aspect="equal")
    axes.set_title(f"{which} sample, {view.name}: {result.sample_rms[index]:.2f} pixels RMS")
    axes.legend(loc="lower right")
