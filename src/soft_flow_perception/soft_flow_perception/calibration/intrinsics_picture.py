"""The picture of an intrinsic calibration: what was seen, how well it fits, and an undistorted example."""

from pathlib import Path

import cv2
import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from soft_flow_perception.calibration.board_view import BoardView
from soft_flow_perception.calibration.coverage import COLUMNS, ROWS, Coverage, cell_sums
from soft_flow_perception.calibration.intrinsics import IntrinsicCalibration, Requirements

_WORST = 2.0  # pixels of error at the end of the colour scale


def draw_coverage(views: list[BoardView], size: tuple[int, int], title: str, output: Path) -> None:
    """Where corners were seen; for views that were not enough to calibrate."""
    figure = Figure(figsize=(7, 5.5), layout="constrained")
    axes = figure.add_subplot()
    for view in views:
        axes.plot(*view.corners.T, ".", markersize=3)
    _frame(axes, size, f"{title}\n{len(views)} views, {Coverage.of(views, size).fraction:.0%} covered")
    _save(figure, output)


def draw_calibration(
    result: IntrinsicCalibration, needs: Requirements, example: np.ndarray | None, title: str, output: Path
) -> None:
    """Errors over the picture, errors of each view, and the RGB picture `example`, undistorted."""
    figure = Figure(figsize=(12, 9), layout="constrained")
    figure.suptitle(title)
    axes = figure.subplots(2, 2)
    _draw_errors(axes[0, 0], result)
    _draw_heat(axes[0, 1], result)
    _draw_views(axes[1, 0], result, needs)
    _draw_example(axes[1, 1], result, example)
    _save(figure, output)


def _frame(axes: Axes, size: tuple[int, int], title: str) -> None:
    width, height = size
    axes.set(xlim=(-0.5, width - 0.5), ylim=(height - 0.5, -0.5), aspect="equal", title=title)
    axes.set_xticks(np.linspace(0, width, COLUMNS + 1) - 0.5, labels=[])
    axes.set_yticks(np.linspace(0, height, ROWS + 1) - 0.5, labels=[])
    axes.grid(alpha=0.4)


def _draw_errors(axes: Axes, result: IntrinsicCalibration) -> None:
    corners = np.concatenate([view.corners for view in result.views])
    errors = np.concatenate(result.errors)
    length = np.linalg.norm(errors, axis=1)
    axes.quiver(*corners.T, *errors.T, length, angles="xy", scale_units="xy", scale=0.02, width=0.002,
                cmap="viridis", clim=(0, _WORST))  # fmt: skip
    for view in result.rejected:
        axes.plot(*view.corners.T, "rx", markersize=3)
    _frame(axes, result.size, "corners, errors 50 times as long; red: views that were left out")


def _draw_heat(axes: Axes, result: IntrinsicCalibration) -> None:
    corners = np.concatenate([view.corners for view in result.views])
    length = np.linalg.norm(np.concatenate(result.errors), axis=1)
    width, height = result.size
    counts = cell_sums(corners, np.ones(len(corners)), result.size)
    mean = np.where(counts > 0, cell_sums(corners, length, result.size) / np.maximum(counts, 1), np.nan)
    image = axes.imshow(mean, extent=(-0.5, width - 0.5, height - 0.5, -0.5), cmap="viridis", vmin=0)
    axes.figure.colorbar(image, ax=axes, label="pixels", shrink=0.8)
    _frame(
        axes,
        result.size,
        f"mean error; {result.coverage.fraction:.0%} of the cells covered (white: no corner)",
    )


def _draw_views(axes: Axes, result: IntrinsicCalibration, needs: Requirements) -> None:
    axes.bar(range(len(result.views)), result.view_rms)
    axes.axhline(result.rms, color="k", label=f"all: {result.rms:.3f}")
    axes.axhline(needs.rms, color="r", linestyle="--", label=f"limit: {needs.rms:g}")
    axes.set(xlabel="view", ylabel="RMS reprojection error, pixels", title=f"{len(result.rejected)} left out")
    axes.legend()


def _draw_example(axes: Axes, result: IntrinsicCalibration, example: np.ndarray | None) -> None:
    axes.set_axis_off()
    if example is None:
        return
    straight = cv2.undistort(
        example, result.camera_matrix, result.distortion, None, result.undistorted_matrix
    )
    axes.imshow(np.hstack([example, straight]))
    axes.set_title("as taken, and undistorted: edges of the board are straight")


def _save(figure: Figure, output: Path) -> None:
    output.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(output, dpi=110)
