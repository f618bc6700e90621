"""Which of several candidate chunks acts: of the likely ones, that which the critic values most.

A critic errs where there are no data, and the best of many samples is drawn to such errors. The exact
likelihood of the flow says which samples they are: the unlikely ones are left out before the critic is asked.
"""

from collections.abc import Callable

import numpy as np


def likely_count(candidates: int, fraction: float) -> int:
    """How many of `candidates` N are the most likely `fraction` (0 to 1) of them: rounded, at least 1."""
    return max(1, round(candidates * fraction))


def choose_chunk(
    log_prob: np.ndarray, fraction: float, values: Callable[[np.ndarray], np.ndarray]
) -> tuple[int, float]:
    """The index of the best chunk, and its value.

    Args:
        log_prob: (N,) log densities of the candidates.
        fraction: of the candidates that is asked about, the most likely ones, see `likely_count`.
        values: the critic: indices (K,) of candidates, in their order, to their values (K,).
    """
    kept = np.sort(np.argsort(-log_prob, kind="stable")[: likely_count(len(log_prob), fraction)])
    found = values(kept)
    best = int(np.argmax(found))
    return int(kept[best]), float(found[best])
