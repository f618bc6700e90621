"""Plots of learning experiments: curves of several seeds, and every arm in a colour of its own."""

import sys
from pathlib import Path

import numpy as np

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "benchmarks"))

from learning.arms import ARMS
from learning.comparison_plot import COLOURS, mean_curve


def test_the_mean_of_curves_is_taken_at_the_same_updates() -> None:
    whole = np.array([[20.0, 5.0], [40.0, 3.0], [60.0, 1.0]])
    late = np.array([[40.0, 1.0], [60.0, 2.0], [80.0, 9.0]])  # its imitation was done by another arm
    np.testing.assert_array_equal(mean_curve([whole, late]), [[40.0, 2.0], [60.0, 1.5]])
    assert mean_curve([whole[:1], late]).shape == (0, 2)


def test_every_arm_has_a_colour_of_its_own() -> None:
    assert set(COLOURS) == set(ARMS)
    assert len(set(COLOURS.values())) == len(ARMS)
