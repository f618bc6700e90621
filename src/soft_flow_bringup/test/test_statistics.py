import numpy as np
import pytest

from soft_flow_bringup.report.statistics import (
    Rate,
    difference_interval,
    normal_quantile,
    paired_bootstrap_interval,
    wilson_interval,
)


# Table I of Newcombe, Statistics in Medicine 17 (1998), 857-872, method 3.
@pytest.mark.parametrize(
    ("successes", "trials", "low", "high"),
    [(81, 263, 0.2553, 0.3662), (15, 148, 0.0624, 0.1605), (0, 20, 0.0, 0.1611), (1, 29, 0.0061, 0.1718)],
)
def test_wilson_interval_equals_published_values(
    successes: int, trials: int, low: float, high: float
) -> None:
    interval = wilson_interval(successes, trials)
    assert (round(interval.low, 4), round(interval.high, 4)) == (low, high)


# Table II of Newcombe, Statistics in Medicine 17 (1998), 873-890, method 10.
@pytest.mark.parametrize(
    ("first", "second", "low", "high"),
    [
        (Rate(56, 70), Rate(48, 80), 0.0524, 0.3339),
        (Rate(9, 10), Rate(3, 10), 0.1705, 0.8090),
        (Rate(10, 10), Rate(0, 10), 0.6075, 1.0),
        (Rate(0, 10), Rate(0, 10), -0.2775, 0.2775),
    ],
)
def test_difference_interval_equals_published_values(
    first: Rate, second: Rate, low: float, high: float
) -> None:
    interval = difference_interval(first, second)
    assert (round(interval.low, 4), round(interval.high, 4)) == (low, high)


def test_swapping_the_groups_mirrors_the_difference_interval() -> None:
    one, other = Rate(12, 30), Rate(20, 25)
    forth, back = difference_interval(one, other), difference_interval(other, one)
    assert (forth.low, forth.high) == pytest.approx((-back.high, -back.low))


def test_without_a_trial_nothing_is_known() -> None:
    assert (Rate(0, 0).wilson().low, Rate(0, 0).wilson().high) == (0.0, 1.0)
    unknown = difference_interval(Rate(0, 0), Rate(0, 0))
    assert unknown.low < -0.7 and unknown.high > 0.7


def test_more_confidence_and_fewer_trials_widen_the_interval() -> None:
    narrow, sure, few = wilson_interval(50, 100), wilson_interval(50, 100, 0.99), wilson_interval(5, 10)
    assert narrow.high - narrow.low < sure.high - sure.low < few.high - few.low


def test_the_quantile_of_95_percent_is_1_96() -> None:
    assert normal_quantile(0.95) == pytest.approx(1.959964, abs=1e-6)


@pytest.mark.parametrize("counts", [(-1, 5), (6, 5)])
def test_impossible_counts_are_refused(counts: tuple[int, int]) -> None:
    with pytest.raises(ValueError, match="expected 0 <= successes <= trials"):
        Rate(*counts)


def test_confidence_outside_of_zero_to_one_is_refused() -> None:
    with pytest.raises(ValueError, match=r"confidence must lie in \(0, 1\), got 95"):
        wilson_interval(1, 2, confidence=95)


def test_bootstrap_of_equal_pairs_is_a_point_at_zero() -> None:
    results = np.array([0, 1, 1, 0, 1])
    interval = paired_bootstrap_interval(results, results)
    assert (interval.low, interval.high) == (0.0, 0.0)


def test_bootstrap_of_unpaired_noise_agrees_with_the_normal_approximation() -> None:
    random = np.random.default_rng(1)
    first, second = random.random(400) < 0.7, random.random(400) < 0.5
    differences = first.astype(float) - second
    half = 1.96 * differences.std(ddof=1) / np.sqrt(400)
    interval = paired_bootstrap_interval(first, second)
    assert interval.low == pytest.approx(differences.mean() - half, abs=0.01)
    assert interval.high == pytest.approx(differences.mean() + half, abs=0.01)


def test_bootstrap_repeats_exactly() -> None:
    first, second = np.arange(10) % 2, np.arange(10) % 3 == 0
    assert paired_bootstrap_interval(first, second) == paired_bootstrap_interval(first, second)


def test_bootstrap_refuses_results_that_are_not_paired() -> None:
    with pytest.raises(ValueError, match="paired results"):
        paired_bootstrap_interval(np.ones(3), np.ones(4))
