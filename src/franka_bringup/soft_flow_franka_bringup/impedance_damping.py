"""Damping of a Cartesian impedance that fits the inertia that the arm has where it is."""

import numpy as np
from numpy.typing import NDArray
from scipy.linalg import sqrtm

# Inertia of the rotors as the joints feel it, kg m^2: what franky_sim's model of the FR3 has as armature; the
# controller's own model leaves it out, and the wrist's inertia is mostly this.
ROTOR_INERTIA = np.array([0.195, 0.195, 0.195, 0.195, 0.074, 0.074, 0.074])
# Near a singularity the flange's inertia grows without bound; the damping must not: kg and kg m^2.
_LARGEST_INERTIA = np.array([50.0, 50.0, 50.0, 2.0, 2.0, 2.0])


def flange_inertia(mass: NDArray[np.float64], jacobian: NDArray[np.float64]) -> NDArray[np.float64]:
    """What the flange weighs in every direction, bounded near singularities: (J M^-1 J^T + I_max^-1)^-1.

    Args:
        mass: (7, 7) joint-space mass matrix without rotors, kg m^2.
        jacobian: (6, 7) of the flange in the base frame.

    Returns:
        (6, 6) symmetric positive definite, kg, kg m and kg m^2.

    Source: Khatib, "A unified approach for motion and force control of robot manipulators" (1987), eq. 11.
    """
    mobility = jacobian @ np.linalg.solve(mass + np.diag(ROTOR_INERTIA), jacobian.T)
    inertia = np.linalg.inv(mobility + np.diag(1.0 / _LARGEST_INERTIA))
    return 0.5 * (inertia + inertia.T)


def critical_damping(inertia: NDArray[np.float64], stiffness: NDArray[np.float64]) -> NDArray[np.float64]:
    """Damping with which no direction overshoots: D = 2 L (L^-1 K L^-1)^1/2 L with the inertia L^2.

    Args:
        inertia: (6, 6) symmetric positive definite.
        stiffness: (6,) diagonal of the stiffness, N/m and N m/rad.

    Returns:
        (6, 6) symmetric positive definite, N s/m, N s and N m s/rad.

    Source: Albu-Schaeffer et al., "Cartesian impedance control of redundant robots: recent results with the
        DLR-light-weight-arms" (2003), factorization design, with a damping ratio of 1.
    """
    root = np.real(sqrtm(inertia))
    inverse = np.linalg.inv(root)
    damping = 2.0 * root @ np.real(sqrtm(inverse @ np.diag(stiffness) @ inverse)) @ root
    return 0.5 * (damping + damping.T)
