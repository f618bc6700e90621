"""Solves hand-eye calibration: closed forms, then the likeliest X and Z given pictures and poses that err.

The error of a sample's corners has two causes: of the detector, sigma pixels each, and of the arm, whose
pose errs by a small motion xi with covariance Sigma. To first order the corners' errors r_i = e_i + J_i xi_i
have the covariance S_i = sigma^2 1 + J_i Sigma J_i^T, and the likeliest solution minimizes the sum of
r_i^T inv(S_i) r_i. Without the second term a millimetre of the arm would count as pixels of certainty.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.linalg import solve_triangular
from scipy.optimize import least_squares
from scipy.spatial.transform import Rotation

from soft_flow_perception.calibration import hand_eye_closed_form as closed_form
from soft_flow_perception.calibration.hand_eye_problem import HandEyeProblem
from soft_flow_perception.calibration.refusal import CalibrationRefusedError
from soft_flow_perception.calibration.rigid_transform import transform

Array = NDArray[np.float64]
ARM_POSITION = (
    5e-4  # m, standard deviation of the flange's pose on each axis: Franka arms repeat within 0.1 mm
)
ARM_ROTATION = 1e-3  # rad; their absolute accuracy, which is meant here, is not specified
LEAST_SIGMA = 0.05  # pixels of the detector; rendered pictures may have less
_LOSS_SCALE = 2.0  # standard deviations; larger errors count linearly (soft L1)
_STEP = 1e-6  # rad, m


@dataclass(frozen=True)
class HandEyeSolution:
    """X and Z (4, 4), and how well each closed form did alone: RMS over the samples, pixels."""

    X: Array
    Z: Array
    method_rms: dict[str, float]


def solve(problem: HandEyeProblem) -> HandEyeSolution:
    """The best of the closed forms, refined.

    Raises:
        CalibrationRefusedError: the closed forms have no solution.
    """
    A, B = closed_form.motions(problem.M, problem.C)
    starts, method_rms = {}, {}
    for name, method in closed_form.METHODS.items():
        X = method(A, B)
        Z = closed_form.board_in_carrier(X, problem.M, problem.C)
        rms = float(np.sqrt(np.mean(problem.sample_rms(X, Z) ** 2)))
        if np.isfinite(rms):
            starts[name], method_rms[name] = (X, Z), rms
    if not starts:
        raise CalibrationRefusedError(["no closed form has a solution; turn the flange about several axes"])
    X, Z = refine(problem, *starts[min(method_rms, key=lambda name: method_rms[name])])
    return HandEyeSolution(
        *refine(problem, X, Z), method_rms
    )  # again, with the weights of the better solution


def refine(problem: HandEyeProblem, X: Array, Z: Array) -> tuple[Array, Array]:
    """The likeliest X and Z (4, 4) near those given."""
    roots = _covariance_roots(problem, X, Z)

    def moved(parameters: Array) -> tuple[Array, Array]:
        return _moved(X, parameters[:6]), _moved(Z, parameters[6:])

    def residuals(parameters: Array) -> Array:
        errors = problem.errors(*moved(parameters))
        whitened = [
            solve_triangular(root, error.ravel(), lower=True, check_finite=False)
            for root, error in zip(roots, errors, strict=True)
        ]
        return np.concatenate(whitened)

    # A milliradian and a millimetre change the picture about as much.
    fit = least_squares(
        residuals, np.zeros(12), loss="soft_l1", f_scale=_LOSS_SCALE, x_scale=1e-3, diff_step=1e-7
    )
    return moved(fit.x)


def _covariance_roots(problem: HandEyeProblem, X: Array, Z: Array) -> list[Array]:
    """Cholesky factor (2 n_i, 2 n_i) of S_i for every sample."""
    sigma = max(problem.detector_sigma, LEAST_SIGMA)
    scales = np.repeat([ARM_ROTATION, ARM_POSITION], 3)
    columns = [
        problem.errors(X, Z, problem.with_arm_moved(step))
        for step in np.concatenate([np.eye(6), -np.eye(6)]) * _STEP
    ]
    roots = []
    for i, sample in enumerate(problem.samples):
        steps = [(columns[k][i] - columns[k + 6][i]).ravel() / (2 * _STEP) for k in range(6)]
        J = np.column_stack(steps) * scales
        roots.append(np.linalg.cholesky(sigma**2 * np.eye(2 * len(sample.view.ids)) + J @ J.T))
    return roots


def _moved(matrix: Array, change: Array) -> Array:
    """The transform after a rotation vector (rad) and a shift (m): R' = R exp(w)."""
    turn = Rotation.from_rotvec(change[:3]).as_matrix()
    return transform(matrix[:3, :3] @ turn, matrix[:3, 3] + change[3:])
