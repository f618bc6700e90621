"""Intervals for success rates and their differences, stated alike by every report and benchmark."""

from dataclasses import dataclass
from math import sqrt
from statistics import NormalDist

import numpy as np


@dataclass(frozen=True)
class Interval:
    """A confidence interval [low, high]."""

    low: float
    high: float

    def __contains__(self, value: float) -> bool:
        """Whether `value` lies within."""
        return self.low <= value <= self.high


@dataclass(frozen=True)
class Rate:
    """Successes out of trials."""

    successes: int
    trials: int

    def __post_init__(self) -> None:
        """Check the counts. Raises ValueError."""
        if not 0 <= self.successes <= self.trials:
            raise ValueError(f"expected 0 <= successes <= trials, got {self.successes} of {self.trials}")

    @property
    def value(self) -> float:
        """The rate; NaN without a trial."""
        return self.successes / self.trials if self.trials else float("nan")

    def wilson(self, confidence: float = 0.95) -> Interval:
        """Wilson score interval; [0, 1] without a trial."""
        return wilson_interval(self.successes, self.trials, confidence)


def normal_quantile(confidence: float) -> float:
    """Two-sided quantile z of the standard normal distribution, e.g. 1.96 for 0.95.

    Raises:
        ValueError: the confidence does not lie in (0, 1).
    """
    if not 0 < confidence < 1:
        raise ValueError(f"confidence must lie in (0, 1), got {confidence}")
    return NormalDist().inv_cdf(0.5 + confidence / 2)


def wilson_interval(successes: int, trials: int, confidence: float = 0.95) -> Interval:
    """Score interval of a proportion (E. B. Wilson, JASA 22, 1927).

    Unlike p +- z sqrt(p (1 - p) / n) it holds near 0 and 1 and with few trials.

    Raises:
        ValueError: counts that are not possible.
    """
    Rate(successes, trials)
    if trials == 0:
        return Interval(0.0, 1.0)
    z, p = normal_quantile(confidence), successes / trials
    # (p + z^2 / 2n +- z sqrt(p (1 - p) / n + z^2 / 4n^2)) / (1 + z^2 / n)
    scale = 1 + z * z / trials
    centre = (p + z * z / (2 * trials)) / scale
    half = z * sqrt(p * (1 - p) / trials + z * z / (4 * trials * trials)) / scale
    low = 0.0 if successes == 0 else max(0.0, centre - half)
    high = 1.0 if successes == trials else min(1.0, centre + half)
    return Interval(low, high)


def difference_interval(first: Rate, second: Rate, confidence: float = 0.95) -> Interval:
    """Interval of first - second, independent samples (Newcombe, Stat. Med. 17, 1998, method 10)."""
    a, b = first.wilson(confidence), second.wilson(confidence)
    p, q = (0.5 if not r.trials else r.value for r in (first, second))
    low = p - q - sqrt((p - a.low) ** 2 + (b.high - q) ** 2)
    high = p - q + sqrt((a.high - p) ** 2 + (q - b.low) ** 2)
    return Interval(max(-1.0, low), min(1.0, high))


def paired_bootstrap_interval(
    first: np.ndarray, second: np.ndarray, confidence: float = 0.95, resamples: int = 10_000, seed: int = 0
) -> Interval:
    """Percentile bootstrap interval of mean(first) - mean(second) over common starts.

    Args:
        first: (N,) results, one a start.
        second: (N,) results of the other policy from the same starts, in the same order.
        confidence: of the interval.
        resamples: number of bootstrap samples.
        seed: of the resampling; the same data give the same interval.

    Raises:
        ValueError: the two are not paired, or empty.
    """
    first, second = np.asarray(first, dtype=float), np.asarray(second, dtype=float)
    if first.shape != second.shape or first.ndim != 1 or not first.size:
        raise ValueError(
            f"paired results must be two equal, non-empty vectors, got {first.shape} and {second.shape}"
        )
    differences = first - second
    picks = np.random.default_rng(seed).integers(0, differences.size, size=(resamples, differences.size))
    low, high = np.quantile(differences[picks].mean(axis=1), [(1 - confidence) / 2, (1 + confidence) / 2])
    return Interval(float(low), float(high))
