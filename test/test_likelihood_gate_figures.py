import sys
from pathlib import Path

import numpy as np
import pytest

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "benchmarks"))

from gate_worlds import DISTURBANCES, NOTHING, occlude
from likelihood_gate import OVERLAP, OWN, Measured, auroc, gate_figures


def test_auroc_counts_the_pairs_that_are_in_order_and_ties_half() -> None:
    assert auroc(np.array([3.0, 4.0]), np.array([1.0, 2.0])) == 1.0
    assert auroc(np.array([1.0, 2.0]), np.array([1.0, 2.0])) == 0.5
    assert auroc(np.array([2.0]), np.array([1.0, 2.0, 3.0, 4.0])) == pytest.approx(1.5 / 4)


def test_an_episode_is_judged_by_what_two_plans_in_a_row_reach() -> None:
    episodes = [np.array([0.0, 9.0, 1.0, 2.0]), np.array([5.0])]
    assert Measured({OVERLAP: episodes}).worst_pairs(OVERLAP).tolist() == [1.0]


def test_the_goal_is_the_gates_own_signals_under_each_disturbance() -> None:
    calm = {name: [np.linspace(0, 1, 10)] for name in (OVERLAP, OWN)}
    loud = {OVERLAP: [np.linspace(2, 3, 10)], OWN: [np.linspace(0, 1, 10)]}
    measured = {NOTHING: Measured(calm), **{name: Measured(loud) for name in DISTURBANCES}}
    measured[DISTURBANCES[0]] = Measured(calm)
    figures = gate_figures(measured)
    assert [figure.holds for figure in figures if figure.goal] == [False, True, True]
    assert [figure.value for figure in figures if not figure.goal] == [0.5, 0.5, 0.5]


def test_an_occluded_camera_keeps_its_margin_and_the_others() -> None:
    images = {name: np.full((80, 80, 3), 7, np.uint8) for name in ("a", "b")}
    covered = occlude(images, "a")
    assert (covered["a"][40, 40, 0], covered["a"][2, 2, 0]) == (90, 7)
    assert np.array_equal(covered["b"], images["b"]) and images["a"][40, 40, 0] == 7
