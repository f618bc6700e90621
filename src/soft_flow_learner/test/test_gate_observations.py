"""Pairs of observations for the likelihood gate: as far apart as two plans, and never across episodes."""

import numpy as np
from replay_maker import filled, make_episode

from soft_flow_learner.gate_observations import PAIRS, pairs_of_windows
from soft_flow_learner.replay.chunk_windows import ChunkWindows


def told(*episodes: int, executed: int = 3) -> tuple[np.ndarray, np.ndarray]:
    """First numbers of both observations of all pairs, from episodes of these lengths."""
    buffer = filled(3000, *(make_episode(number, length) for number, length in enumerate(episodes)))
    pairs = list(pairs_of_windows(ChunkWindows(buffer, 4, executed, 0.9)))
    before = [pair[0]["proprioception"][:, 0].numpy() for pair in pairs]
    after = [pair[1]["proprioception"][:, 0].numpy() for pair in pairs]
    return np.concatenate(before or [np.empty(0)]), np.concatenate(after or [np.empty(0)])


def test_the_second_observation_comes_a_whole_executed_chunk_after_the_first() -> None:
    before, after = told(5, 4)
    assert before.tolist() == [0, 1, 2, 100, 101]
    assert np.array_equal(after, before + 3)


def test_images_come_with_both_observations() -> None:
    buffer = filled(100, make_episode(0, 6))
    (first, second), *_ = pairs_of_windows(ChunkWindows(buffer, 4, 3, 0.9))
    assert first["images"]["palm"][:, 0, 0, 0].tolist() == [0, 1, 2, 3]
    assert second["images"]["palm"][:, 0, 0, 0].tolist() == [3, 4, 5, 6]


def test_episodes_shorter_than_a_chunk_have_no_pairs() -> None:
    assert len(told(2, 1)[0]) == 0


def test_of_many_pairs_some_are_spread_over_all() -> None:
    before, _ = told(*[95] * 20)
    assert len(before) == PAIRS and before[0] == 0 and before[-1] == 1992
