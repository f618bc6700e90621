import numpy as np
import pytest

from soft_flow_policy.chunk_choice import choose_chunk, likely_count

VALUES = np.array([9.0, 1.0, 3.0, 2.0, 8.0])
LOG_PROB = np.array([-50.0, 4.0, 2.0, 3.0, -1.0])


@pytest.mark.parametrize(
    ("fraction", "best", "asked"),
    [
        (1.0, 0, [0, 1, 2, 3, 4]),
        (0.8, 4, [1, 2, 3, 4]),
        (0.6, 2, [1, 2, 3]),
        (0.4, 3, [1, 3]),
        (0.01, 1, [1]),
    ],
)
def test_the_best_of_the_likely_candidates_is_chosen(fraction: float, best: int, asked: list[int]) -> None:
    seen: list[int] = []

    def values(kept: np.ndarray) -> np.ndarray:
        seen.extend(kept.tolist())
        return VALUES[kept]

    assert choose_chunk(LOG_PROB, fraction, values) == (best, VALUES[best])
    assert seen == asked  # an unlikely chunk costs the critic no time


def test_of_equally_likely_and_equally_good_candidates_the_first_is_chosen() -> None:
    assert choose_chunk(np.zeros(4), 0.5, lambda kept: np.ones(len(kept))) == (0, 1.0)


@pytest.mark.parametrize(
    ("candidates", "fraction", "count"), [(16, 0.5, 8), (16, 1.0, 16), (1, 0.5, 1), (8, 0.01, 1), (3, 0.5, 2)]
)
def test_how_many_are_likely(candidates: int, fraction: float, count: int) -> None:
    assert likely_count(candidates, fraction) == count
