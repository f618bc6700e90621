"""A hand-eye calibration with its outliers left out, its errors, and whether it may be used."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from soft_flow_contract.pose import Pose
from soft_flow_perception.calibration.hand_eye_closed_form import LEAST_ANGLE
from soft_flow_perception.calibration.hand_eye_problem import (
    HandEyeProblem,
    HandEyeSample,
    Parent,
)
from soft_flow_perception.calibration.hand_eye_solution import HandEyeSolution, refine, solve
from soft_flow_perception.calibration.refusal import CalibrationRefusedError
from soft_flow_perception.calibration.rigid_transform import difference, inverse, rotation_vectors, to_pose
from soft_flow_perception.camera_info_file import CameraInfo

Array = NDArray[np.float64]


@dataclass(frozen=True)
class HandEyeRequirements:
    """What a placement needs to be written."""

    samples: int = 10
    angle: float = 30.0  # degrees between the flange's two most different orientations
    axis_spread: float = 0.05  # second eigenvalue of the mean of axis axis^T; 0: all turns about one axis
    rejected: float = 0.2  # at most this part of the samples may be outliers
    rms: float = 2.5  # pixels of reprojection; half a millimetre of the arm can be one
    position: float = 3.0  # mm, RMS, of a sample that was left out
    rotation: float = 0.5  # degrees, the same
    deviation: float = 1.5  # mm, standard deviation of the camera's position


@dataclass(frozen=True)
class HandEyeCalibration:
    """What came out.

    Attributes:
        problem: the samples that count, N of them.
        rejected: the outliers.
        solution: camera in parent, board in carrier.
        sample_rms: (N,) reprojection, pixels.
        fit: (N, 2) each sample against its own picture: mm at the board's middle, degrees.
        left_out: (N, 2) the same with a calibration that did not see the sample.
        deviation: (2,) standard deviation (jackknife) of the camera's position, mm, and rotation, degrees.
    """

    problem: HandEyeProblem
    rejected: list[HandEyeSample]
    solution: HandEyeSolution
    sample_rms: Array
    fit: Array
    left_out: Array
    deviation: Array

    @property
    def camera_in_parent(self) -> Pose:
        """Where the camera's optical frame is."""
        return to_pose(self.solution.X)

    @property
    def rms(self) -> float:
        """Reprojection over all samples, pixels."""
        return float(np.sqrt(np.mean(self.sample_rms**2)))


def degenerate(M: Array, needs: HandEyeRequirements) -> list[str]:
    """Why these poses of the flange (N, 4, 4) do not determine a camera's placement; empty if they do."""
    if len(M) < needs.samples:
        return [f"{len(M)} usable samples, at least {needs.samples} are needed"]
    first, second = np.triu_indices(len(M), 1)
    turns = rotation_vectors(M[first] @ inverse(M[second]))
    angles = np.linalg.norm(turns, axis=1)
    reasons = []
    if np.degrees(angles.max()) < needs.angle:
        reasons.append(
            f"the flange turned by {np.degrees(angles.max()):.0f} degrees at most, at least {needs.angle:g} "
            "are needed: the camera's position shows in turns only"
        )
    turning = angles >= LEAST_ANGLE
    if not np.any(turning):
        return reasons
    axes = turns[turning] / angles[turning, None]
    spread = np.linalg.eigvalsh(axes.T @ axes / len(axes))
    if spread[1] < needs.axis_spread:
        _, _, main = np.linalg.svd(axes)
        reasons.append(
            f"all turns are about one axis ({', '.join(f'{v:.2f}' for v in main[0])}); turn the flange about "
            "at least two axes that are not parallel"
        )
    return reasons


def calibrate_hand_eye(
    samples: Sequence[HandEyeSample],
    parent: Parent,
    info: CameraInfo,
    needs: HandEyeRequirements | None = None,
) -> HandEyeCalibration:
    """Calibrate; samples with four times the error of the median are left out, one after the other.

    Args:
        samples: with usable views.
        parent: "flange": the camera is on it and the board in the cell; "base": the other way round.
        info: the camera's intrinsic calibration.
        needs: what is asked of the samples.

    Raises:
        CalibrationRefusedError: too few samples, too little turning, or too many outliers.
    """
    needs = needs or HandEyeRequirements()
    problem = HandEyeProblem.of(samples, parent, info)
    rejected: list[HandEyeSample] = []
    if reasons := degenerate(problem.M, needs):
        raise CalibrationRefusedError(reasons)
    while True:
        solution = solve(problem)
        rms = problem.sample_rms(solution.X, solution.Z)
        worst = int(np.argmax(rms))
        if rms[worst] <= max(4 * np.median(rms), 0.5):
            return _judged(problem, rejected, solution, rms)
        rejected.append(problem.samples[worst])
        problem = problem.without(worst)
        if len(rejected) > needs.rejected * len(samples):
            names = ", ".join(sample.view.name for sample in rejected)
            raise CalibrationRefusedError(
                [
                    f"more than {needs.rejected:.0%} of the samples do not fit the others ({names}); did the "
                    "board or the camera move, was the arm at rest, is the base frame the same?"
                ]
            )


def _judged(
    problem: HandEyeProblem, rejected: list[HandEyeSample], solution: HandEyeSolution, rms: Array
) -> HandEyeCalibration:
    X, Z = solution.X, solution.Z
    middle = problem.samples[0].view.points.mean(axis=0)
    left_out, others = [], []
    for i in range(len(problem.samples)):
        X_i, Z_i = refine(problem.without(i), X, Z)
        left_out.append(_difference(inverse(X_i) @ problem.M[i] @ Z_i, problem.C[i], middle))
        others.append(_difference(X_i, X, np.zeros(3)))
    fit = [
        _difference(predicted, seen, middle)
        for predicted, seen in zip(inverse(X) @ problem.M @ Z, problem.C, strict=True)
    ]
    # Jackknife: variance = (n - 1) / n * sum of squares (about the full estimate).
    n = len(others)
    deviation = np.sqrt((n - 1) / n * np.sum(np.square(others), axis=0))
    return HandEyeCalibration(problem, rejected, solution, rms, np.array(fit), np.array(left_out), deviation)


def _difference(first: Array, second: Array, point: Array) -> tuple[float, float]:
    distance, angle = difference(first, second, point)
    return distance * 1e3, float(np.degrees(angle))


def faults(result: HandEyeCalibration, needs: HandEyeRequirements) -> list[str]:
    """Why a calibration shall not be used; empty if it may."""
    reasons = degenerate(result.problem.M, needs)
    position, rotation = np.sqrt(np.mean(result.left_out**2, axis=0))
    if not result.rms <= needs.rms:
        reasons.append(f"the reprojection error is {result.rms:.2f} pixels RMS (at most {needs.rms:g})")
    if not (position <= needs.position and rotation <= needs.rotation):
        reasons.append(
            f"a sample that is left out is missed by {position:.1f} mm, {rotation:.2f} degrees RMS (at "
            f"most {needs.position:g} mm, {needs.rotation:g} degrees)"
        )
    if not result.deviation[0] <= needs.deviation:
        reasons.append(
            f"the camera's position is uncertain by {result.deviation[0]:.1f} mm (at most "
            f"{needs.deviation:g}); turn the flange more, about all axes"
        )
    if reasons:
        reasons.append("check that board and camera did not move, and that the board's lengths are right")
    return reasons
