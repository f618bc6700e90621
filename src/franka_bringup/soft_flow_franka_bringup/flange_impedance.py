"""Damping and feed-forward of a Cartesian impedance that fit the inertia that the arm has where it is."""

import numpy as np
from numpy.typing import NDArray

from soft_flow_franka_bringup.arm_model import ArmModel

# Inertia of the rotors as the joints feel it, kg m^2: what franky_sim's model of the FR3 has as armature, a
# third of what motors and gears have by themselves. The controller's own model leaves it out, though the
# wrist's inertia is mostly this.
ROTOR_INERTIA = np.array([0.195, 0.195, 0.195, 0.195, 0.074, 0.074, 0.074])
# Near a singularity the flange's inertia grows without bound; the damping must not: kg and kg m^2.
LARGEST_INERTIA = np.array([50.0, 50.0, 50.0, 2.0, 2.0, 2.0])
Matrix = NDArray[np.float64]


def flange_mobility(mass: Matrix, jacobian: Matrix) -> Matrix:
    """How a wrench on the flange accelerates it, J M^-1 J^T, (6, 6), from M (7, 7) and J (6, 7).

    Source: Khatib, "A unified approach for motion and force control of robot manipulators" (1987), eq. 11.
    """
    mobility = jacobian @ np.linalg.solve(mass, jacobian.T)
    return np.asarray(0.5 * (mobility + mobility.T))


def flange_inertia(mass: Matrix, jacobian: Matrix) -> Matrix:
    """What the flange weighs in every direction, rotors included, bounded near singularities.

    Args:
        mass: (7, 7) joint-space mass matrix without rotors, kg m^2.
        jacobian: (6, 7) of the flange in the base frame.

    Returns:
        (6, 6) symmetric positive definite, kg, kg m and kg m^2.
    """
    mobility = flange_mobility(mass + np.diag(ROTOR_INERTIA), jacobian)
    inertia = np.linalg.inv(mobility + np.diag(1.0 / LARGEST_INERTIA))
    return np.asarray(0.5 * (inertia + inertia.T))


def critical_damping(inertia: Matrix, stiffness: Matrix) -> Matrix:
    """Damping with which no direction overshoots: D = 2 L (L^-1 K L^-1)^1/2 L with the inertia L^2.

    Args:
        inertia: (6, 6) symmetric positive definite.
        stiffness: (6,) diagonal of the stiffness, N/m and N m/rad.

    Returns:
        (6, 6) symmetric positive definite, N s/m, N s and N m s/rad.

    Source: Albu-Schaeffer et al., "Cartesian impedance control of redundant robots: recent results with the
        DLR-light-weight-arms" (2003), factorization design, with a damping ratio of 1.
    """
    root = _root(inertia)
    inverse = np.linalg.inv(root)
    damping = 2.0 * root @ _root(inverse @ np.diag(stiffness) @ inverse) @ root
    return np.asarray(0.5 * (damping + damping.T))


def _root(matrix: Matrix) -> Matrix:
    """Square root of a symmetric matrix without negative eigenvalues."""
    values, vectors = np.linalg.eigh(0.5 * (matrix + matrix.T))
    return np.asarray((vectors * np.sqrt(np.maximum(values, 0.0))) @ vectors.T)


class FlangeImpedance:
    """What franky's impedance controller is given beside the reference.

    Its feed-forward is the wrench L0 a, with the inertia L0 without rotors. What the flange needs is
    L (a - b), with rotors, and without the acceleration b = J' q' that it has from the joints' velocities
    alone. So it is given L0^-1 L (a - b).
    """

    def __init__(self, model: ArmModel, stiffness: Matrix) -> None:
        """Stiffness: (6,), N/m and N m/rad."""
        self._model, self._stiffness = model, stiffness
        self._correction = np.eye(6)

    def fit(self, position: Matrix) -> Matrix:
        """The damping (6, 6) where the joints are (7,), rad; the feed-forward is fitted with it."""
        mass, jacobian = self._model.mass(position), self._model.jacobian(position)
        inertia = flange_inertia(mass, jacobian)
        self._correction = flange_mobility(mass, jacobian) @ inertia
        return critical_damping(inertia, self._stiffness)

    def feed_forward(self, acceleration: Matrix, position: Matrix, velocity: Matrix) -> Matrix:
        """The acceleration (6,) to give for one that is wanted, with the joints as they are."""
        return np.asarray(self._correction @ (acceleration - self._model.bias(position, velocity)))
