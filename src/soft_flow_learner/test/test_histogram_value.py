"""Laws of values as histograms, against numbers worked out by hand."""

import math

import pytest
import torch

from soft_flow_contract.errors import SpecificationError
from soft_flow_learner.algorithm.histogram_value import HistogramValue, ValueConfig


def normal(x: float) -> float:
    return 0.5 * (1 + math.erf(x / math.sqrt(2)))


def test_target_probabilities_are_differences_of_the_gaussian_distribution_function() -> None:
    histogram = HistogramValue(ValueConfig(bins=11, margin=0, sigma=0.75))  # bins of 1/11 from 0 to 1
    value, width = 0.5, 1 / 11
    sigma = 0.75 * width
    whole = normal((1 - value) / sigma) - normal((0 - value) / sigma)
    for index, probability in enumerate(histogram.probabilities(torch.tensor(value)).tolist()):
        low, high = index * width, (index + 1) * width
        by_hand = (normal((high - value) / sigma) - normal((low - value) / sigma)) / whole
        assert probability == pytest.approx(by_hand, abs=1e-6)


def test_probabilities_sum_to_one_and_their_mean_is_the_value_even_at_the_ends() -> None:
    histogram = HistogramValue(ValueConfig())
    values = torch.linspace(0, 1, 101)
    probabilities = histogram.probabilities(values)
    assert torch.allclose(probabilities.sum(-1), torch.ones(101))
    assert (probabilities @ histogram.centres - values).abs().max() < 1e-4


def test_without_a_margin_the_mean_of_an_extreme_value_is_biased_inwards() -> None:
    histogram = HistogramValue(ValueConfig(margin=0))
    biased = float(histogram.probabilities(torch.tensor(1.0)) @ histogram.centres)
    assert biased < 0.992


def test_logits_of_target_probabilities_stand_for_the_value() -> None:
    histogram = HistogramValue(ValueConfig(lowest_return=-2, highest_return=3, bins=101))
    for value in (-2.0, 0.0, 1.234, 3.0):
        logits = histogram.probabilities(torch.tensor(value)).log()
        assert float(histogram.mean(logits)) == pytest.approx(value, abs=1e-3)


def test_values_well_beyond_the_returns_are_counted_as_outside() -> None:
    histogram = HistogramValue(ValueConfig())
    width = ValueConfig().bin_width
    inside = torch.tensor([0.0, 1.0, -2 * width, 1 + 2 * width])
    assert float(histogram.outside(inside)) == 0
    assert float(histogram.outside(torch.tensor([-3 * width, 0.5, 1 + 3 * width, 0.1]))) == 0.5


def test_a_value_beyond_the_support_becomes_its_end_and_nothing_is_nan() -> None:
    histogram = HistogramValue(ValueConfig())
    probabilities = histogram.probabilities(torch.tensor([-100.0, 100.0]))
    assert probabilities.isfinite().all()
    assert probabilities.argmax(-1).tolist() == [0, 50]


@pytest.mark.parametrize(
    ("data", "message"),
    [
        ({"lowest_return": 1.0}, "must be below highest_return"),
        ({"bins": 11, "margin": 6}, "twice the margin"),
    ],
)
def test_a_support_that_makes_no_sense_is_refused(data: dict, message: str) -> None:
    with pytest.raises((ValueError, SpecificationError), match=message):
        ValueConfig(**data)
