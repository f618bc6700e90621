import numpy as np
import pytest

from soft_flow_bringup.report.smoothness import measure_smoothness, second_differences


def test_a_steady_motion_has_no_second_difference() -> None:
    steps = np.arange(10.0)[:, None]
    actions = np.concatenate([np.full((10, 6), 0.3), 0.05 * steps * np.ones(17)], axis=1)
    assert np.allclose(second_differences(actions), 0)


def test_second_differences_of_arm_and_hand_refer_to_their_targets() -> None:
    random = np.random.default_rng(0)
    flange, hand = random.normal(size=(9, 6)).cumsum(0), random.normal(size=(8, 17))
    actions = np.concatenate([np.diff(flange, axis=0), hand], axis=1)
    expected = np.concatenate([np.diff(flange, n=2, axis=0)[1:], np.diff(hand, n=2, axis=0)], axis=1)
    assert np.allclose(second_differences(actions), expected)


def test_alternating_hand_targets_give_four_times_their_amplitude() -> None:
    actions = np.zeros((20, 23))
    actions[:, 6:] = 0.1 * (-1.0) ** np.arange(20)[:, None]
    smoothness = measure_smoothness([actions])
    assert smoothness.hand == pytest.approx(0.4)
    assert smoothness.arm == 0
    assert smoothness.whole == pytest.approx(0.4 * np.sqrt(17 / 23))


def test_episodes_that_are_too_short_are_left_out() -> None:
    assert measure_smoothness([np.zeros((2, 23))]).episodes == 0
    assert np.isnan(measure_smoothness([]).whole)
