"""Intervals for results that vary by seed and by start: a bootstrap of both (Davison, Hinkley 1997)."""

from collections.abc import Sequence

import numpy as np

from soft_flow_bringup.report.statistics import Interval

RESAMPLES = 10_000


def hierarchical_interval(
    results: Sequence[np.ndarray], confidence: float = 0.95, resamples: int = RESAMPLES, seed: int = 0
) -> Interval:
    """Percentile interval of the mean over seeds of the mean over starts.

    Each resample draws as many seeds as there are, with replacement, and for each of them as many of its
    starts, with replacement.

    Args:
        results: for each seed (N,) results, one a start; for a paired difference, differences.
        confidence: of the interval.
        resamples: number of bootstrap samples.
        seed: of the resampling; the same data give the same interval.

    Raises:
        ValueError: no seeds, or one without starts.
    """
    rows = [np.asarray(row, dtype=float) for row in results]
    if not rows or any(row.ndim != 1 or not row.size for row in rows):
        raise ValueError(
            f"results: expected a non-empty vector for each seed, got shapes {[row.shape for row in rows]}"
        )
    random = np.random.default_rng(seed)
    picked = random.integers(0, len(rows), size=(resamples, len(rows)))
    means = np.empty(picked.shape)
    for index, row in enumerate(rows):
        here = picked == index
        # How often a start is drawn matters only through the mean: one draw of counts for each time.
        values, counts = np.unique(row, return_counts=True)
        drawn = random.multinomial(row.size, counts / row.size, size=int(here.sum()))
        means[here] = drawn @ values / row.size
    low, high = np.quantile(means.mean(axis=1), [(1 - confidence) / 2, (1 + confidence) / 2])
    return Interval(float(low), float(high))
