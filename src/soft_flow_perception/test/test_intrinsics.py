"""Intrinsic calibration: a camera that is known is found again, and bad views are refused with the reason."""

import dataclasses
from pathlib import Path

import cv2
import numpy as np
import pytest
from board_scene import BOARD, DISTORTION, SIZE, K, Renderer, board_pose, many_poses, project, project_all

from soft_flow_perception.calibration.board_view import BoardDetector
from soft_flow_perception.calibration.coverage import Coverage
from soft_flow_perception.calibration.intrinsics import (
    IntrinsicCalibration,
    Requirements,
    calibrate_intrinsics,
    faults,
)
from soft_flow_perception.calibration.intrinsics_picture import draw_calibration, draw_coverage
from soft_flow_perception.calibration.refusal import CalibrationRefusedError

NEEDS = Requirements()


def test_a_known_camera_is_found_again_from_rendered_pictures(renderer: Renderer) -> None:
    detector = BoardDetector(BOARD)
    pictures = [renderer.render(pose, seed=seed) for seed, pose in enumerate(many_poses(18))]
    result = calibrate_intrinsics([detector.detect(picture) for picture in pictures], SIZE)
    np.testing.assert_allclose(result.camera_matrix, K, atol=0.8)
    np.testing.assert_allclose(result.distortion, DISTORTION, atol=0.01)
    assert result.rms < 0.15 and faults(result, NEEDS) == []


@pytest.mark.parametrize("model", ["plain", "k3", "rational"])
def test_every_model_projects_as_the_known_camera_does(model: str) -> None:
    result = calibrate_intrinsics(project_all(many_poses(20), noise=0.1), SIZE, model)
    points = np.array([[x, y, 1.0] for x in np.linspace(-0.45, 0.45, 7) for y in np.linspace(-0.35, 0.35, 5)])
    zero = np.zeros(3)
    truth = cv2.projectPoints(points, zero, zero, K, DISTORTION)[0]
    found = cv2.projectPoints(points, zero, zero, result.camera_matrix, result.distortion)[0]
    assert np.abs(found - truth).max() < 1.0
    assert result.camera_info("wrist").distortion.size == (8 if model == "rational" else 5)


def test_the_uncertainty_of_the_focal_length_is_that_of_its_errors() -> None:
    errors, claimed = [], []
    for seed in range(6):
        views = [project(pose, 0.3, 100 * seed + i) for i, pose in enumerate(many_poses(15, seed=1))]
        result = calibrate_intrinsics(views, SIZE)
        errors.append(abs(result.camera_matrix[0, 0] / K[0, 0] - 1))
        claimed.append(result.focal_deviation)
    assert np.sqrt(np.mean(np.square(errors))) == pytest.approx(np.mean(claimed), rel=0.9)


def test_a_view_that_does_not_fit_is_left_out() -> None:
    views = project_all(many_poses(20), noise=0.1)
    bent = views[7].corners + 4 * np.sin(views[7].points[:, :1] * 40)  # a board that was bent
    views[7] = dataclasses.replace(views[7], corners=bent)
    result = calibrate_intrinsics(views, SIZE)
    assert [view.name for view in result.rejected] == ["07.png"]
    np.testing.assert_allclose(result.camera_matrix, K, atol=1.5)


def test_too_many_views_that_do_not_fit_are_refused() -> None:
    views = project_all(many_poses(20), noise=0.1)
    for i in range(7):
        bent = views[i].corners + (3 + i) * np.sin(views[i].points[:, :1] * 40 + i)
        views[i] = dataclasses.replace(views[i], corners=bent)
    with pytest.raises(CalibrationRefusedError, match="do not fit the others"):
        calibrate_intrinsics(views, SIZE)


def test_too_few_views_are_refused() -> None:
    with pytest.raises(CalibrationRefusedError, match="9 usable views, at least 15 are needed"):
        calibrate_intrinsics(project_all(many_poses(9)), SIZE)


def test_one_sided_views_are_refused_and_the_reason_names_the_empty_side() -> None:
    poses = [board_pose(0.2, 0.5, 0.5, tilt, -tilt / 2, tilt) for tilt in np.linspace(-35, 35, 20)]
    with pytest.raises(CalibrationRefusedError) as refusal:
        calibrate_intrinsics(project_all(poses), SIZE)
    text = str(refusal.value)
    assert "corners cover" in text and "right" in text and "left" not in text


def untilted(noise: float) -> IntrinsicCalibration:
    return calibrate_intrinsics(project_all(many_poses(20, tilt=2.0), noise), SIZE)


def test_a_board_that_is_never_tilted_does_not_show_the_focal_length() -> None:
    reasons = " ".join(faults(untilted(0.3), NEEDS))
    assert "tilted by 15 degrees or more in 0% of the views" in reasons
    assert "the focal length is uncertain by" in reasons


def test_a_large_reprojection_error_is_a_fault() -> None:
    result = calibrate_intrinsics(project_all(many_poses(20), noise=1.2), SIZE)
    assert any("reprojection error is 1." in reason for reason in faults(result, NEEDS))
    assert faults(result, dataclasses.replace(NEEDS, rms=3.0, focal_deviation=0.1)) == []


def test_coverage_counts_corners_by_cell_and_names_empty_regions() -> None:
    left = Coverage.of(project_all([board_pose(0.15, 0.5, 0.3)]), SIZE)
    assert left.counts.shape == (6, 8) and left.counts[:, 6:].sum() == 0
    assert {"right", "top right", "bottom right"} <= set(left.empty_regions)
    assert len(left.picture()) == 6 and all(len(row) == 16 for row in left.picture())
    assert Coverage.of([], SIZE).fraction == 0.0
    full = Coverage.of(project_all(many_poses(20)), SIZE)
    assert full.fraction > 0.9 and full.empty_regions == []
    corners = project_all(many_poses(20))
    assert full.counts.sum() == sum(len(view.ids) for view in corners)


def test_pictures_of_good_and_of_insufficient_views_are_drawn(tmp_path: Path, renderer: Renderer) -> None:
    views = project_all(many_poses(20), noise=0.1)
    views[3] = dataclasses.replace(
        views[3], corners=views[3].corners + np.sin(views[3].points[:, :1] * 60) * 5
    )
    result = calibrate_intrinsics(views, SIZE)
    draw_calibration(result, NEEDS, renderer.render(many_poses(1)[0]), "title", tmp_path / "a.png")
    draw_calibration(result, NEEDS, None, "title", tmp_path / "new" / "b.png")
    draw_coverage(views[:2], SIZE, "title", tmp_path / "c.png")
    for path in ("a.png", "new/b.png", "c.png"):
        image = cv2.imread(str(tmp_path / path))
        assert image is not None and image.std() > 5
