"""Shares of a batch, and that it depends on nothing but the seed, the update and the content."""

import numpy as np
import pytest
from replay_maker import LAYOUT, filled, make_episode

from soft_flow_learner.errors import LearnerError, NoDataError
from soft_flow_learner.replay.chunk_windows import ChunkWindows
from soft_flow_learner.replay.data_filter import DataFilter
from soft_flow_learner.replay.replay_buffer import ReplayBuffer
from soft_flow_learner.replay.row_sampler import RowSampler

OFFLINE = DataFilter(sources=("demonstration",))
ONLINE = DataFilter(sources=("policy", "intervention"))
HALF_HALF = ((OFFLINE, 0.5), (ONLINE, 0.5))


def mixed(offline: int, online: int) -> ChunkWindows:
    """Episodes of ten actions: demonstrations first, then rollouts."""
    buffer = ReplayBuffer(LAYOUT, 1000)
    for number in range(offline + online):
        source = "demonstration" if number < offline else "policy"
        buffer.add(make_episode(number, 10), source)
    return ChunkWindows(buffer, 4, 2, 0.9)


def test_half_of_a_batch_is_old_and_half_new_however_much_there_is_of_each() -> None:
    sampler = RowSampler(mixed(20, 1), HALF_HALF, batch=64, seed=0)
    for update in range(20):
        rows = sampler.rows(update)
        assert len(rows) == 64 and (rows < 20 * 11).sum() == 32


@pytest.mark.parametrize("batch", [1, 2, 7, 64, 101])
def test_shares_always_fill_the_batch(batch: int) -> None:
    shares = ((OFFLINE, 1.0), (ONLINE, 2.0), (DataFilter(), 4.0))
    sampler = RowSampler(mixed(2, 2), shares, batch, seed=0)
    assert {len(sampler.rows(update)) for update in range(10)} == {batch}


def test_a_share_without_data_gives_its_part_to_the_others_until_it_has_some() -> None:
    windows = mixed(3, 0)
    sampler = RowSampler(windows, HALF_HALF, batch=32, seed=0)
    assert (sampler.rows(0) < 3 * 11).all()
    windows.buffer.add(make_episode(9, 10), "intervention")
    assert (sampler.rows(0) >= 3 * 11).sum() == 16


def test_nothing_to_sample_from_is_an_error_that_names_the_filters() -> None:
    with pytest.raises(NoDataError, match="none of the 2 episodes .*sources=.'demonstration'"):
        RowSampler(mixed(0, 2), ((OFFLINE, 1.0),), batch=4, seed=0)
    windows = mixed(1, 0)
    sampler = RowSampler(windows, ((OFFLINE, 1.0),), batch=4, seed=0)
    windows.buffer.remove("episode 0")
    with pytest.raises(NoDataError):
        sampler.rows(0)


def test_rows_depend_on_seed_update_and_content_alone() -> None:
    one = RowSampler(mixed(4, 4), HALF_HALF, batch=32, seed=3)
    forward = [one.rows(update) for update in range(12)]
    other = RowSampler(mixed(4, 4), HALF_HALF, batch=32, seed=3)
    for update in (11, 3, 7, 0):
        np.testing.assert_array_equal(other.rows(update), forward[update])
    assert (RowSampler(mixed(4, 4), HALF_HALF, batch=32, seed=4).rows(0) != forward[0]).any()


def test_rows_are_the_same_whether_the_content_came_at_once_or_meanwhile() -> None:
    windows = mixed(4, 2)
    early = RowSampler(windows, HALF_HALF, batch=32, seed=3)
    early.rows(0)
    windows.buffer.add(make_episode(6, 10), "policy")
    late = RowSampler(mixed(4, 3), HALF_HALF, batch=32, seed=3)
    np.testing.assert_array_equal(early.rows(5), late.rows(5))


def test_a_share_shows_every_start_once_before_any_twice() -> None:
    windows = ChunkWindows(filled(100, make_episode(0, 16)), 4, 2, 0.9)
    sampler = RowSampler(windows, ((DataFilter(), 1.0),), batch=4, seed=0)
    assert sorted(np.concatenate([sampler.rows(update) for update in range(4)])) == list(range(16))


def test_windows_cut_short_by_time_are_sampled_for_imitation_only() -> None:
    windows = ChunkWindows(filled(100, make_episode(0, 6, terminal=False)), 4, 3, 0.9)
    shares = ((DataFilter(), 1.0),)
    values, imitation = (RowSampler(windows, shares, 60, seed=0, complete=c) for c in (True, False))
    assert set(values.rows(0)) == {0, 1, 2, 3}
    assert set(imitation.rows(0)) == {0, 1, 2, 3, 4, 5}


@pytest.mark.parametrize(
    ("shares", "batch"), [((), 4), (((DataFilter(), 0.0),), 4), (((DataFilter(), 1.0),), 0)]
)
def test_shares_that_make_no_sense_are_refused(
    shares: tuple[tuple[DataFilter, float], ...], batch: int
) -> None:
    with pytest.raises(LearnerError, match="expected a batch of at least 1 and shares above 0"):
        RowSampler(mixed(1, 1), shares, batch, seed=0)
