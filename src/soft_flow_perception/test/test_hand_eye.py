"""Hand-eye calibration: a known mounting is found again, for both set-ups; bad samples are refused."""

import dataclasses

import numpy as np
import pytest
from board_scene import board_pose, info, many_poses, project
from hand_eye_scene import BOARD_IN_CARRIER, CAMERA, samples_of
from scipy.spatial.transform import Rotation

from soft_flow_contract.pose import Pose
from soft_flow_perception.calibration import hand_eye_closed_form as closed_form
from soft_flow_perception.calibration.hand_eye_problem import HandEyeProblem, Parent
from soft_flow_perception.calibration.hand_eye_quality import (
    HandEyeRequirements,
    calibrate_hand_eye,
    degenerate,
    faults,
)
from soft_flow_perception.calibration.hand_eye_solution import refine, solve
from soft_flow_perception.calibration.refusal import CalibrationRefusedError
from soft_flow_perception.calibration.rigid_transform import (
    board_in_camera,
    difference,
    from_pose,
    inverse,
    mean,
    to_pose,
    transform,
)

NEEDS = HandEyeRequirements()
SETUPS: list[Parent] = ["flange", "base"]


def error(found: np.ndarray, truth: np.ndarray) -> tuple[float, float]:
    """Millimetres, degrees."""
    distance, angle = difference(found, truth, np.zeros(3))
    return distance * 1e3, float(np.degrees(angle))


@pytest.mark.parametrize("parent", SETUPS)
@pytest.mark.parametrize("name", closed_form.METHODS)
def test_every_closed_form_is_exact_without_noise(parent: Parent, name: str) -> None:
    problem = HandEyeProblem.of(samples_of(parent), parent, info())
    X = closed_form.METHODS[name](*closed_form.motions(problem.M, problem.C))
    Z = closed_form.board_in_carrier(X, problem.M, problem.C)
    assert max(error(X, CAMERA[parent])) < 1e-3
    assert max(error(Z, BOARD_IN_CARRIER[parent])) < 1e-3


@pytest.mark.parametrize("parent", SETUPS)
def test_the_refinement_finds_the_truth_from_a_start_that_is_far_off(parent: Parent) -> None:
    problem = HandEyeProblem.of(samples_of(parent), parent, info())
    away = transform(Rotation.from_rotvec([0.1, -0.08, 0.06]).as_matrix(), np.array([0.02, -0.03, 0.02]))
    X, Z = refine(problem, CAMERA[parent] @ away, BOARD_IN_CARRIER[parent] @ away)
    for _ in range(2):  # the weights are those of the start
        X, Z = refine(problem, X, Z)
    assert max(error(X, CAMERA[parent])) < 1e-3 and max(error(Z, BOARD_IN_CARRIER[parent])) < 1e-3


@pytest.mark.parametrize("parent", SETUPS)
def test_a_known_mounting_is_found_again_in_spite_of_noise(parent: Parent) -> None:
    boards = many_poses(20, seed=5)
    result = calibrate_hand_eye(samples_of(parent, boards, pixels=0.15, arm=3e-4), parent, info())
    millimetres, degrees = error(result.solution.X, CAMERA[parent])
    assert millimetres < 1.0 and degrees < 0.1
    assert faults(result, NEEDS) == [] and result.rejected == []
    assert np.all(result.deviation < [1.0, 0.15])
    # What was left out is missed by more than what was fitted.
    assert np.all(np.sum(result.left_out**2, axis=0) > np.sum(result.fit**2, axis=0))


def test_weights_that_know_of_the_arms_errors_beat_pixels_alone() -> None:
    """Over several seeds: the rotation that minimizes pixels alone follows the arm's errors."""
    weighted, plain = [], []
    for seed in range(4):
        problem = HandEyeProblem.of(samples_of("base", pixels=0.15, arm=5e-4, seed=seed), "base", info())
        solution = solve(problem)
        weighted.append(error(solution.X, CAMERA["base"])[1])
        plain.append(error(least_pixels(problem, solution.X, solution.Z), CAMERA["base"])[1])
    assert np.mean(weighted) < 0.7 * np.mean(plain)


def least_pixels(problem: HandEyeProblem, X: np.ndarray, Z: np.ndarray) -> np.ndarray:
    from scipy.optimize import least_squares

    def moved(matrix: np.ndarray, change: np.ndarray) -> np.ndarray:
        return matrix @ transform(Rotation.from_rotvec(change[:3]).as_matrix(), change[3:])

    fit = least_squares(
        lambda p: np.concatenate(problem.errors(moved(X, p[:6]), moved(Z, p[6:]))).ravel(),
        np.zeros(12),
        x_scale=1e-3,
    )
    return moved(X, fit.x[:6])


@pytest.mark.parametrize("parent", SETUPS)
def test_samples_with_a_wrong_pose_are_left_out(parent: Parent) -> None:
    samples = samples_of(parent, pixels=0.1)
    for index in (4, 9):
        wrong = samples[index].flange_in_base.moved(np.array([0.01, -0.015, 0.0]), np.zeros(3))
        samples[index] = dataclasses.replace(samples[index], flange_in_base=wrong)
    result = calibrate_hand_eye(samples, parent, info())
    assert sorted(sample.view.name for sample in result.rejected) == ["0004.png", "0009.png"]
    assert error(result.solution.X, CAMERA[parent])[0] < 0.6


def test_a_board_that_moved_in_between_is_refused() -> None:
    samples = samples_of("flange", pixels=0.1)
    for index in range(0, 15, 2):
        moved = samples[index].flange_in_base.moved(np.array([0.03, 0.0, 0.01 * index]), np.zeros(3))
        samples[index] = dataclasses.replace(samples[index], flange_in_base=moved)
    with pytest.raises(CalibrationRefusedError) as refusal:
        result = calibrate_hand_eye(samples, "flange", info())
        raise CalibrationRefusedError(faults(result, NEEDS))
    assert "move" in str(refusal.value)


def test_too_few_samples_are_refused() -> None:
    with pytest.raises(CalibrationRefusedError, match="6 usable samples, at least 10 are needed"):
        calibrate_hand_eye(samples_of("flange", many_poses(6)), "flange", info())
    with pytest.raises(CalibrationRefusedError, match="0 usable samples"):
        calibrate_hand_eye([], "flange", info())


@pytest.mark.parametrize("parent", SETUPS)
def test_turns_about_one_axis_are_refused_and_the_axis_is_named(parent: Parent) -> None:
    boards = [board_pose(0.5, 0.5, 0.4, spin=angle) for angle in np.linspace(-60, 60, 12)]
    with pytest.raises(CalibrationRefusedError, match=r"all turns are about one axis \("):
        calibrate_hand_eye(samples_of(parent, boards), parent, info())


@pytest.mark.parametrize("parent", SETUPS)
def test_a_flange_that_only_shifts_is_refused(parent: Parent) -> None:
    boards = [board_pose(x, y, 0.45, 10, 5) for x in (0.4, 0.5, 0.6) for y in (0.4, 0.45, 0.5, 0.55)]
    with pytest.raises(CalibrationRefusedError, match="turned by 0 degrees at most"):
        calibrate_hand_eye(samples_of(parent, boards), parent, info())


def test_turns_about_two_axes_are_no_degenerate_case() -> None:
    boards = [board_pose(0.5, 0.5, 0.4, tilt_x=a) for a in (-30, -15, 0, 15, 30)]
    boards += [board_pose(0.5, 0.5, 0.4, tilt_y=a) for a in (-30, -15, 15, 30, 40)]
    problem = HandEyeProblem.of(samples_of("flange", boards), "flange", info())
    assert degenerate(problem.M, NEEDS) == []


def test_a_placement_that_is_too_uncertain_is_a_fault() -> None:
    result = calibrate_hand_eye(samples_of("flange", pixels=0.3, arm=4e-3), "flange", info())
    text = " ".join(faults(result, NEEDS))
    assert "is uncertain by" in text and "a sample that is left out is missed by" in text


def test_the_claimed_uncertainty_is_that_of_the_errors() -> None:
    errors, claimed = [], []
    for seed in range(4):
        result = calibrate_hand_eye(samples_of("flange", pixels=0.15, arm=5e-4, seed=seed), "flange", info())
        errors.append(error(result.solution.X, CAMERA["flange"])[0])
        claimed.append(result.deviation[0])
    assert 0.4 < np.sqrt(np.mean(np.square(errors))) / np.sqrt(np.mean(np.square(claimed))) < 2.5


def test_a_fisheye_calibration_is_refused() -> None:
    entry = info().distortion_coefficients.model_copy(update={"cols": 4, "data": (0.1, 0.0, 0.0, 0.0)})
    fisheye = info().model_copy(update={"distortion_model": "equidistant", "distortion_coefficients": entry})
    with pytest.raises(CalibrationRefusedError, match="plumb_bob and rational_polynomial only"):
        calibrate_hand_eye(samples_of("flange"), "flange", fisheye)


@pytest.mark.parametrize("seed", range(5))
def test_the_pose_of_a_board_is_found_from_its_corners(seed: int) -> None:
    pose = many_poses(1, seed=seed)[0]
    view = project(pose)
    found = board_in_camera(view.points, view.corners, info().matrix, info().distortion)
    np.testing.assert_allclose(found, from_pose(pose), atol=1e-5)


def test_transforms_obey_their_laws() -> None:
    random = np.random.default_rng(0)
    frames = np.array(
        [transform(Rotation.random(random_state=i).as_matrix(), random.normal(size=3)) for i in range(5)]
    )
    np.testing.assert_allclose(frames @ inverse(frames), np.broadcast_to(np.eye(4), (5, 4, 4)), atol=1e-12)
    np.testing.assert_allclose(from_pose(to_pose(frames[0])), frames[0], atol=1e-12)
    np.testing.assert_allclose(mean(np.repeat(frames[:1], 3, axis=0)), frames[0], atol=1e-12)
    shifted = transform(np.eye(3), np.array([0.0, 0.003, 0.004])) @ frames[1]
    assert difference(shifted, frames[1], random.normal(size=3)) == pytest.approx((0.005, 0.0), abs=1e-7)
    pose = Pose.from_matrix(np.zeros(3), Rotation.from_rotvec([0, 0.2, 0]).as_matrix())
    assert difference(from_pose(pose), np.eye(4), np.zeros(3)) == pytest.approx((0.0, 0.2))
