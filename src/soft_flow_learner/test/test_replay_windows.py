"""Laws of windows: they stay in their episode, and their targets are those worked out by hand."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from replay_maker import LAYOUT, filled, make_episode

from soft_flow_learner.episode import Episode
from soft_flow_learner.errors import LearnerError
from soft_flow_learner.replay.chunk_windows import ChunkWindows, TransitionBatch
from soft_flow_learner.replay.data_filter import DataFilter
from soft_flow_learner.replay.replay_buffer import ReplayBuffer, StoredEpisode

EVERYTHING = DataFilter()
GAMMA = 0.5


def generator() -> np.random.Generator:
    return np.random.default_rng(0)


def all_windows(windows: ChunkWindows, complete: bool = True) -> TransitionBatch:
    return windows.batch(windows.starts(EVERYTHING, complete), generator())


def test_windows_that_reach_the_end_of_the_task_are_short_and_earn_no_more() -> None:
    buffer = filled(20, make_episode(0, 4, rewards=[1.0, 0.0, 4.0, 8.0]))
    batch = all_windows(ChunkWindows(buffer, 4, 3, GAMMA))
    assert batch.rows.tolist() == [0, 1, 2, 3]
    assert batch.steps.tolist() == [3, 3, 2, 1]
    assert batch.reward.tolist() == [1 + 0 + 0.25 * 4, 0 + 0.5 * 4 + 0.25 * 8, 4 + 0.5 * 8, 8]
    assert batch.bootstrap.tolist() == [0.125, 0, 0, 0]  # gamma^3 before the end, then d = 1
    assert batch.next_proprioception[:, 0].tolist() == [3, 4, 4, 4]


def test_windows_that_time_cut_short_are_no_values_but_the_one_that_ends_there_bootstraps() -> None:
    buffer = filled(20, make_episode(0, 4, terminal=False, rewards=[1.0, 0.0, 4.0, 8.0]))
    windows = ChunkWindows(buffer, 4, 3, GAMMA)
    batch = all_windows(windows)
    assert batch.rows.tolist() == [0, 1]
    assert batch.reward.tolist() == [2.0, 4.0]
    assert batch.bootstrap.tolist() == [0.125, 0.125]
    assert batch.next_proprioception[:, 0].tolist() == [3, 4]
    short = all_windows(windows, complete=False)
    assert short.rows.tolist() == [0, 1, 2, 3]
    assert short.bootstrap.tolist() == [0.125, 0.125, 0.25, 0.5]


def test_an_episode_that_time_cut_before_one_window_was_over_has_values_nowhere() -> None:
    windows = ChunkWindows(filled(20, make_episode(0, 2, terminal=False)), 4, 3, GAMMA)
    assert windows.starts(EVERYTHING).tolist() == []
    assert windows.starts(EVERYTHING, complete=False).tolist() == [0, 1]


def test_a_task_that_ends_at_once_is_one_short_window() -> None:
    batch = all_windows(ChunkWindows(filled(20, make_episode(0, 1)), 4, 3, GAMMA))
    assert (batch.steps.tolist(), batch.reward.tolist(), batch.bootstrap.tolist()) == ([1], [1.0], [0.0])


def test_chunks_past_the_end_change_nothing_and_keep_the_last_target() -> None:
    buffer = filled(20, make_episode(1, 3))
    chunk = ChunkWindows(buffer, 4, 2, GAMMA).batch(np.array([1]), generator()).chunk[0]
    assert chunk.tolist() == [[-101, -101.5], [-102, -102.5], [0, -102.5], [0, -102.5]]


def test_executed_actions_past_the_end_are_drawn_from_all_the_data() -> None:
    buffer = filled(100, make_episode(1, 3), make_episode(2, 4), make_episode(3, 1))
    windows = ChunkWindows(buffer, 4, 3, GAMMA)
    random, drawn = generator(), set()
    for _ in range(200):
        executed = windows.batch(np.array([2]), random).executed[0]
        assert executed[0].tolist() == [-102, -102.5]
        drawn |= set(executed[1:, 0])
    assert drawn == {-100, -101, -102, -200, -201, -202, -203, -300}


def test_aligned_windows_start_where_chunks_were_executed() -> None:
    buffer = filled(40, make_episode(0, 7), make_episode(1, 7, terminal=False))
    windows = ChunkWindows(buffer, 4, 3, GAMMA, aligned=True)
    assert windows.starts(EVERYTHING).tolist() == [0, 3, 6, 8, 11]
    assert windows.starts(EVERYTHING, complete=False).tolist() == [0, 3, 6, 8, 11, 14]


def test_the_future_of_a_window_ends_with_its_episode() -> None:
    buffer = filled(40, make_episode(1, 6), make_episode(2, 3))
    batch = ChunkWindows(buffer, 4, 2, GAMMA).batch(np.array([0, 4, 7]), generator(), future_steps=(1, 3))
    assert batch.future[:, :, 0].tolist() == [[101, 103], [105, 106], [201, 203]]


def test_images_are_those_of_the_window_and_of_what_follows_it() -> None:
    buffer = filled(40, make_episode(1, 6), make_episode(2, 3))
    windows = ChunkWindows(buffer, 4, 2, GAMMA)
    batch = windows.batch(np.array([0, 8, 9]), generator())
    assert batch.images["palm"].shape == (3, 2, 3, 3) and batch.images["palm"].dtype == np.uint8
    assert batch.images["palm"][:, 0, 0, 0].tolist() == [10, 21, 22]
    assert batch.next_images["palm"][:, 1, 2, 2].tolist() == [12, 23, 23]
    alone = windows.batch(np.array([0]), generator(), next_observation=False)
    assert alone.images and not alone.next_images
    without = windows.batch(np.array([0]), generator(), images=False)
    assert not without.images and not without.next_images


def test_a_replay_without_cameras_gives_windows_without_images() -> None:
    buffer = ReplayBuffer(replace(LAYOUT, cameras=()), 10)
    buffer.add(make_episode(1, 3), "policy")
    batch = all_windows(ChunkWindows(buffer, 4, 2, GAMMA))
    assert (batch.images, batch.next_images, len(batch.rows)) == ({}, {}, 3)


def test_windows_of_filtered_episodes_are_marked_as_imitated_and_a_relabel_acts_at_once() -> None:
    buffer = filled(40, make_episode(1, 3, outcome="failure"), make_episode(2, 2))
    windows = ChunkWindows(buffer, 4, 2, GAMMA)
    successes = DataFilter(outcomes=("success",))
    assert windows.starts(successes).tolist() == [4, 5]
    assert windows.batch(np.array([1, 4]), generator(), successes).imitated.tolist() == [0.0, 1.0]
    buffer.relabel("episode 1", "success")
    assert windows.starts(successes).tolist() == [0, 1, 2, 4, 5]
    assert windows.batch(np.array([1, 4]), generator(), successes).imitated.tolist() == [1.0, 1.0]


def test_a_batch_is_ready_for_tensors_and_shares_no_memory_with_the_replay() -> None:
    buffer = filled(20, make_episode(1, 6))
    batch = all_windows(ChunkWindows(buffer, 4, 2, GAMMA))
    for name in ("proprioception", "chunk", "executed", "next_proprioception", "reward", "bootstrap"):
        array = getattr(batch, name)
        assert array.dtype == np.float32 and array.flags.c_contiguous, name
        assert not np.shares_memory(array, buffer.steps.proprioception), name
    batch.chunk[:] = 7
    batch.images["palm"][:] = 7
    assert (buffer.steps.action != 7).all() and (buffer.steps.images["palm"] != 7).any()


@pytest.mark.parametrize("row", [-1, 3, 4, 8, 19])
def test_a_row_without_an_action_is_refused(row: int) -> None:
    buffer = filled(20, make_episode(1, 3), make_episode(2, 3))
    buffer.remove("episode 2")
    with pytest.raises(LearnerError, match=f"row {row} holds no action"):
        ChunkWindows(buffer, 4, 2, GAMMA).batch(np.array([0, row]), generator())


def test_an_empty_replay_has_no_windows() -> None:
    windows = ChunkWindows(ReplayBuffer(LAYOUT, 10), 4, 2, GAMMA)
    assert windows.starts(EVERYTHING).tolist() == []
    with pytest.raises(LearnerError, match="the replay is empty"):
        windows.batch(np.array([0]), generator())


@pytest.mark.parametrize(
    ("length", "executed", "gamma", "reason"),
    [
        (4, 5, 0.9, "expected 1 to 4"),
        (4, 0, 0.9, "expected 1 to 4"),
        (4, 2, 1.1, "gamma"),
        (4, 2, 0.0, "gamma"),
    ],
)
def test_windows_that_make_no_sense_are_refused(
    length: int, executed: int, gamma: float, reason: str
) -> None:
    with pytest.raises(LearnerError, match=reason):
        ChunkWindows(ReplayBuffer(LAYOUT, 10), length, executed, gamma)


def naive_window(episode: Episode, t: int, length: int, h: int) -> dict[str, object]:
    """One window, step by step, from the episode alone."""
    record, n = episode.record, len(episode)
    hold = [0.0, record.actions[-1][1]]
    m = min(h, n - t)
    d = record.terminal and t + m == n
    return {
        "chunk": [list(record.actions[k]) if k < n else hold for k in range(t, t + length)],
        "reward": sum(GAMMA**k * record.rewards[t + k] for k in range(m)),
        "observed_return": sum(GAMMA**k * record.rewards[t + k] for k in range(n - t)),
        "bootstrap": 0.0 if d else GAMMA**m,
        "steps": m,
        "proprioception": record.proprioception[t],
        "next_proprioception": record.proprioception[t + m],
        "executed": record.actions[t : t + m],
    }


def naive_starts(stored: StoredEpisode, h: int, complete: bool, aligned: bool) -> list[int]:
    steps = range(0, stored.length, h if aligned else 1)
    whole = complete and not stored.terminal
    return [stored.first_row + t for t in steps if not whole or t + h <= stored.length]


@settings(deadline=None)
@given(
    episodes=st.lists(st.tuples(st.integers(1, 12), st.booleans()), min_size=1, max_size=12),
    capacity=st.integers(13, 60),
    length=st.integers(1, 8),
    shorter=st.integers(0, 7),
    complete=st.booleans(),
    aligned=st.booleans(),
)
def test_windows_are_those_of_the_episodes_whatever_the_ring_did_to_them(
    episodes: list[tuple[int, bool]],
    capacity: int,
    length: int,
    shorter: int,
    complete: bool,
    aligned: bool,
) -> None:
    h = max(1, length - shorter)
    random = np.random.default_rng(len(episodes))
    made = {}
    buffer = ReplayBuffer(LAYOUT, capacity)
    windows = ChunkWindows(buffer, length, h, GAMMA, aligned)
    for number, (actions, terminal) in enumerate(episodes):
        rewards = random.uniform(-1, 1, actions).tolist()
        episode = make_episode(number, actions, terminal=terminal, rewards=rewards)
        made[episode.record.identifier] = episode
        buffer.add(episode, "policy")
    rows = windows.starts(EVERYTHING, complete)
    per_episode = [naive_starts(stored, h, complete, aligned) for stored in buffer.episodes]
    assert rows.tolist() == [row for starts in per_episode for row in starts]
    batch = windows.batch(rows, random)
    places = [
        (made[stored.identifier], row - stored.first_row)
        for stored, starts in zip(buffer.episodes, per_episode, strict=True)
        for row in starts
    ]
    stored_actions = {
        tuple(action) for stored in buffer.episodes for action in made[stored.identifier].record.actions
    }
    for index, (episode, t) in enumerate(places):
        expected = naive_window(episode, t, length, h)
        executed = np.asarray(expected.pop("executed"))
        np.testing.assert_array_equal(batch.executed[index, : len(executed)], executed)
        assert {tuple(action) for action in batch.executed[index, len(executed) :]} <= stored_actions
        for name, value in expected.items():
            np.testing.assert_allclose(getattr(batch, name)[index], value, rtol=1e-5, atol=1e-6, err_msg=name)


def test_windows_of_files_are_those_of_memory(tmp_path: Path) -> None:
    batches = []
    for folder in (None, tmp_path):
        buffer = ReplayBuffer(LAYOUT, 30, folder)
        for number in range(12):
            buffer.add(make_episode(number, 2 + number % 5, terminal=number % 2 == 0), "policy")
        batches.append(all_windows(ChunkWindows(buffer, 4, 3, GAMMA)))
    one, other = batches
    for name, value in vars(one).items():
        if isinstance(value, np.ndarray):
            np.testing.assert_array_equal(value, getattr(other, name))
    for name in ("images", "next_images"):
        np.testing.assert_array_equal(getattr(one, name)["palm"], getattr(other, name)["palm"])
