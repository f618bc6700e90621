"""What the replay stores, forgets, corrects and refuses."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from bag_maker import small_specification
from hypothesis import given, settings
from hypothesis import strategies as st
from replay_maker import LAYOUT, filled, make_episode

from soft_flow_learner.episode import Episode
from soft_flow_learner.errors import EpisodeError, LearnerError
from soft_flow_learner.replay.data_filter import DataFilter
from soft_flow_learner.replay.replay_buffer import ReplayBuffer
from soft_flow_learner.replay.step_layout import StepLayout


def identifiers(buffer: ReplayBuffer) -> list[str]:
    return [episode.identifier for episode in buffer.episodes]


def with_record(episode: Episode, **changes: object) -> Episode:
    return replace(episode, record=replace(episode.record, **changes))  # type: ignore[arg-type]


def test_the_layout_of_a_task_names_its_cameras_and_tells_changes_from_targets() -> None:
    specification = small_specification()
    layout = StepLayout.from_specification(specification)
    assert layout == StepLayout(12, 8, (("palm", 24, 24),), (True,) * 6 + (False,) * 2)
    assert StepLayout.from_specification(specification, ()).cameras == ()
    with pytest.raises(LearnerError, match=r"no camera 'left': use some of \['palm'\]"):
        StepLayout.from_specification(specification, ("left",))


def test_a_task_without_an_arm_has_no_changes() -> None:
    hand = [{"name": name, "low": -1.0, "high": 1.0} for name in ("thumb", "index")]
    specification = small_specification(action={"arm": None, "hand": hand})
    assert StepLayout.from_specification(specification).changes == (False, False)


def test_what_is_stored_is_what_was_added() -> None:
    one, other = make_episode(1, 3), make_episode(2, 2)
    buffer = filled(20, one, other)
    for episode, stored in zip((one, other), buffer.episodes, strict=True):
        rows = slice(stored.first_row, stored.last_row + 1)
        np.testing.assert_array_equal(buffer.steps.proprioception[rows], episode.record.proprioception)
        np.testing.assert_array_equal(buffer.steps.action[rows][:-1], episode.record.actions)
        np.testing.assert_array_equal(buffer.steps.reward[rows][:-1], episode.record.rewards)
        np.testing.assert_array_equal(buffer.steps.images["palm"][rows], episode.images["palm"])
    assert buffer.rows_used == 4 + 3 and buffer.total_added == 2


def test_the_last_row_of_an_episode_keeps_no_action_of_an_older_one() -> None:
    buffer = filled(10, make_episode(1, 9), make_episode(2, 4))
    assert buffer.steps.action[4].tolist() == [0, 0] and buffer.steps.reward[4] == 0
    assert buffer.steps.action[5, 0] == -105  # not yet overwritten


def test_an_episode_that_does_not_fit_before_the_end_starts_at_row_zero() -> None:
    buffer = filled(10, make_episode(1, 3), make_episode(2, 2), make_episode(3, 3))
    assert [(e.identifier, e.first_row) for e in buffer.episodes] == [("episode 2", 4), ("episode 3", 0)]


def test_episodes_that_are_skipped_at_the_end_of_the_ring_are_forgotten_before_newer_ones() -> None:
    buffer = filled(10, make_episode(1, 4), make_episode(2, 4))  # rows 0-4 and 5-9
    buffer.add(make_episode(3, 1), "policy")  # rows 0-1: episode 1 goes
    buffer.add(make_episode(4, 8), "policy")  # does not fit into rows 2-9: episode 2 goes first
    assert identifiers(buffer) == ["episode 4"]


def test_an_episode_as_long_as_the_ring_fills_it_alone() -> None:
    buffer = filled(10, make_episode(1, 3), make_episode(2, 9))
    assert identifiers(buffer) == ["episode 2"] and buffer.rows_used == 10


@settings(deadline=None)
@given(
    lengths=st.lists(st.integers(1, 9), min_size=1, max_size=30),
    removals=st.sets(st.integers(0, 29), max_size=6),
    capacity=st.integers(10, 40),
)
def test_only_the_oldest_are_forgotten_and_the_others_stay_whole(
    lengths: list[int], removals: set[int], capacity: int
) -> None:
    buffer, added = ReplayBuffer(LAYOUT, capacity), {}
    expected: list[str] = []
    for number, length in enumerate(lengths):
        episode = make_episode(number, length)
        name = episode.record.identifier
        added[name] = episode
        buffer.add(episode, "policy")
        kept = identifiers(buffer)
        expected.append(name)
        assert kept == expected[len(expected) - len(kept) :], "not the oldest"
        expected = kept
        if number in removals:
            buffer.remove(name)
            expected = expected[:-1]
    rows = np.concatenate([np.arange(e.first_row, e.last_row + 1) for e in buffer.episodes] or [[]])
    assert len(set(rows)) == len(rows) == buffer.rows_used <= capacity
    for stored in buffer.episodes:
        part = slice(stored.first_row, stored.last_row + 1)
        record = added[stored.identifier].record
        np.testing.assert_array_equal(buffer.steps.proprioception[part], record.proprioception)


REFUSED = [
    (make_episode(1, 4), "already stored"),
    (make_episode(2, 10), "needs 11 rows, the replay has 10"),
    (with_record(make_episode(2, 3), outcome="discard"), "outcome is 'discard'"),
    (with_record(make_episode(2, 3), proprioception=np.zeros((4, 3))), r"proprioception has shape \(4, 3\)"),
    (
        with_record(make_episode(2, 3), actions=np.zeros((3, 1))),
        r"action has shape \(3, 1\), expected \(3, 2",
    ),
    (with_record(make_episode(2, 3), rewards=np.zeros(2)), r"reward has shape \(2,\), expected \(3,\)"),
    (with_record(make_episode(2, 3), rewards=np.array([0, np.nan, 0])), "step 1: its reward is not finite"),
    (with_record(make_episode(2, 3), actions=np.full((3, 2), np.inf)), "step 0: its action is not finite"),
    (with_record(make_episode(2, 3), actions=np.full((3, 2), 1e300)), "step 0: its action is not finite"),
    (
        with_record(make_episode(2, 3), proprioception=np.full((4, 2), np.nan)),
        "step 0: its proprioception is not finite",
    ),
    (with_record(make_episode(2, 3), actions=np.zeros((0, 2))), "it has no action"),
    (replace(make_episode(2, 3), images={}), "no images of camera 'palm'"),
    (replace(make_episode(2, 3), images={"palm": np.zeros((4, 2, 3, 3))}), "float64 .* expected uint8"),
]


@pytest.mark.parametrize(("episode", "reason"), REFUSED, ids=[reason for _, reason in REFUSED])
def test_what_is_refused_leaves_the_buffer_as_it_was(episode: Episode, reason: str) -> None:
    buffer = filled(10, make_episode(1, 4), make_episode(0, 3))
    before = buffer.content_hash(), buffer.version, buffer.total_added
    with pytest.raises(EpisodeError, match=reason):
        buffer.add(episode, "policy")
    assert (buffer.content_hash(), buffer.version, buffer.total_added) == before


def test_a_source_that_nobody_knows_is_refused() -> None:
    with pytest.raises(EpisodeError, match="source is 'robot'"):
        filled(10, make_episode(1, 3), source="robot")


def test_an_episode_that_was_forgotten_may_come_again() -> None:
    buffer = filled(10, make_episode(1, 5))
    buffer.remove("episode 1")
    buffer.add(make_episode(1, 5), "policy")
    assert identifiers(buffer) == ["episode 1"]


def test_a_relabelled_episode_changes_sides_and_keeps_its_place() -> None:
    buffer = filled(20, make_episode(1, 3, reached=("grasped",)), make_episode(2, 3))
    successes = DataFilter(outcomes=("success",))
    buffer.relabel("episode 1", "failure")
    assert identifiers(buffer) == ["episode 1", "episode 2"]
    first = buffer.episodes[0]
    assert not successes.admits(first) and not DataFilter(reached="success").admits(first)
    assert DataFilter(reached="grasped").admits(first)
    buffer.relabel("episode 1", "success")
    assert successes.admits(buffer.episodes[0]) and "success" in buffer.episodes[0].reached


def test_an_unknown_episode_or_outcome_cannot_be_relabelled() -> None:
    buffer = filled(20, make_episode(1, 3))
    with pytest.raises(EpisodeError, match="episode x is not stored"):
        buffer.relabel("x", "success")
    with pytest.raises(EpisodeError, match="outcome 'discard' is none of"):
        buffer.relabel("episode 1", "discard")
    with pytest.raises(EpisodeError, match="episode x is not stored"):
        buffer.remove("x")


def test_a_filter_admits_what_meets_all_its_conditions() -> None:
    (stored,) = filled(10, make_episode(1, 3, outcome="failure", reached=("grasped",))).episodes
    assert DataFilter().admits(stored)
    assert DataFilter(outcomes=("failure",), sources=("policy",), reached="grasped").admits(stored)
    assert not DataFilter(outcomes=("success",)).admits(stored)
    assert not DataFilter(sources=("demonstration", "intervention")).admits(stored)
    assert not DataFilter(reached="cut").admits(stored)


def test_the_hash_is_of_the_content_wherever_it_lies() -> None:
    straight = filled(50, make_episode(8, 2), make_episode(9, 3))
    wrapped = filled(9, make_episode(1, 5), make_episode(8, 2), make_episode(9, 3))
    assert wrapped.episodes[0].first_row != straight.episodes[0].first_row
    assert straight.content_hash() == wrapped.content_hash()


def test_the_hash_sees_order_numbers_pixels_and_labels() -> None:
    def changed_pixel() -> Episode:
        episode = make_episode(1, 2)
        episode.images["palm"][1, 0, 0, 0] += 1
        return episode

    relabelled = filled(50, make_episode(1, 2), make_episode(2, 3))
    relabelled.relabel("episode 1", "failure")
    hashes = [
        filled(50, make_episode(1, 2), make_episode(2, 3)).content_hash(),
        filled(50, make_episode(2, 3), make_episode(1, 2)).content_hash(),
        filled(50, make_episode(1, 2, rewards=[0.0, 0.5]), make_episode(2, 3)).content_hash(),
        filled(50, changed_pixel(), make_episode(2, 3)).content_hash(),
        filled(50, make_episode(1, 2), make_episode(2, 3), source="demonstration").content_hash(),
        filled(50, make_episode(1, 2, terminal=False), make_episode(2, 3)).content_hash(),
        relabelled.content_hash(),
    ]
    assert len(set(hashes)) == len(hashes)


def test_files_hold_the_same_as_memory_and_are_made_anew_at_every_start(tmp_path: Path) -> None:
    episodes = [make_episode(number, 2 + number % 4) for number in range(9)]
    in_memory, in_files = ReplayBuffer(LAYOUT, 12), ReplayBuffer(LAYOUT, 12, tmp_path / "replay")
    for episode in episodes:
        in_memory.add(episode, "policy")
        in_files.add(episode, "policy")
    assert in_memory.episodes == in_files.episodes
    assert in_memory.content_hash() == in_files.content_hash()
    assert in_memory.nbytes == in_files.nbytes
    assert sum(file.stat().st_size for file in (tmp_path / "replay").iterdir()) == in_files.nbytes
    again = ReplayBuffer(LAYOUT, 12, tmp_path / "replay")
    assert again.episodes == () and not again.steps.proprioception.any()
    assert in_files.content_hash() == in_memory.content_hash()  # who had the old files keeps them


def test_files_that_the_disk_could_not_hold_are_refused(tmp_path: Path) -> None:
    with pytest.raises(LearnerError, match="GB are free; make room, or give it a smaller capacity"):
        ReplayBuffer(LAYOUT, 10**15, tmp_path)


def test_images_take_a_quarter_of_what_they_would_as_float32() -> None:
    layout = StepLayout(64, 23, tuple((name, 84, 84) for name in "abc"), (True,) * 6 + (False,) * 17)
    buffer = ReplayBuffer(layout, 100)
    images_as_float32 = 100 * 3 * 84 * 84 * 3 * 4
    assert buffer.nbytes - 100 * (64 + 23 + 1) * 4 == images_as_float32 / 4
