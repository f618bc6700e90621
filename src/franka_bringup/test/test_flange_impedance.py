import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from soft_flow_franka_bringup.flange_impedance import critical_damping, flange_inertia

STIFFNESS = np.array([1200.0] * 3 + [60.0] * 3)
MASS = np.diag([1.15, 2.04, 1.35, 1.23, 0.07, 0.11, 0.002])
seeds = st.integers(0, 2**32 - 1)


def random_inertia(seed: int) -> np.ndarray:
    factor = np.random.default_rng(seed).normal(size=(6, 6))
    return factor @ factor.T + 0.1 * np.eye(6)


@given(seeds)
def test_damping_is_symmetric_and_takes_energy_out_in_every_direction(seed: int) -> None:
    damping = critical_damping(random_inertia(seed), STIFFNESS)
    np.testing.assert_allclose(damping, damping.T)
    assert np.linalg.eigvalsh(damping).min() > 0


@given(seeds)
def test_every_mode_is_critically_damped(seed: int) -> None:
    inertia = random_inertia(seed)
    damping = critical_damping(inertia, STIFFNESS)
    weighted = np.linalg.inv(inertia)
    system = np.block([[np.zeros((6, 6)), np.eye(6)], [-weighted @ np.diag(STIFFNESS), -weighted @ damping]])
    poles = np.linalg.eigvals(system)
    # Double real poles: numerically, pairs with an imaginary part of the root of the precision.
    assert np.abs(poles.imag).max() <= 1e-3 * np.abs(poles).max()
    assert poles.real.max() < 0


def test_a_plain_mass_has_the_textbook_damping() -> None:
    damping = critical_damping(np.diag([4.0] * 3 + [0.25] * 3), STIFFNESS)
    expected = 2 * np.sqrt(STIFFNESS * np.array([4.0] * 3 + [0.25] * 3))
    np.testing.assert_allclose(damping, np.diag(expected), atol=1e-9)


def test_at_a_singularity_inertia_and_damping_stay_bounded() -> None:
    jacobian = np.random.default_rng(0).normal(size=(6, 7))
    jacobian[2] = 0.0  # nothing moves the flange along z
    inertia = flange_inertia(MASS, jacobian)
    assert np.diag(inertia) == pytest.approx(np.diag(inertia).clip(0, 50.0 + 1e-9))
    assert np.isfinite(critical_damping(inertia, STIFFNESS)).all()
