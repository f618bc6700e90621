"""The replay from bags: who acted, what is new, what is refused."""

import shutil
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from bag_maker import make_transitions, records, small_specification, write_bag, write_episode

from soft_flow_contract import encoded_step
from soft_flow_contract.message_conversion import encoded_step_from_bytes
from soft_flow_learner.errors import EpisodeError
from soft_flow_learner.ingest import BagIngest, IngestOptions, IngestReport
from soft_flow_learner.replay.replay_buffer import ReplayBuffer
from soft_flow_learner.replay.replay_ingest import IngestCursor, fill_from_bags
from soft_flow_learner.replay.step_layout import StepLayout
from soft_flow_msgs.msg import ExecutedAction, Transition

SPECIFICATION = small_specification()
HOLD, POLICY = ExecutedAction.SOURCE_HOLD, ExecutedAction.SOURCE_POLICY
TELEOP, SCRIPTED = ExecutedAction.SOURCE_TELEOP, ExecutedAction.SOURCE_SCRIPTED


def empty_buffer(capacity: int = 200, cameras: tuple[str, ...] | None = None) -> ReplayBuffer:
    return ReplayBuffer(StepLayout.from_specification(SPECIFICATION, cameras), capacity)


def from_sources(*sources: int) -> Callable[[list[Transition]], None]:
    def change(messages: list[Transition]) -> None:
        for index, message in enumerate(messages[:-1]):
            message.action.source = sources[index % len(sources)]

    return change


def test_sources_have_the_numbers_of_the_message() -> None:
    assert (HOLD, POLICY) == (encoded_step.SOURCE_HOLD, encoded_step.SOURCE_POLICY)
    assert (TELEOP, SCRIPTED) == (encoded_step.SOURCE_TELEOP, encoded_step.SOURCE_SCRIPTED)


def test_a_recorded_step_tells_its_source_and_the_last_one_none() -> None:
    messages = make_transitions(SPECIFICATION, 2)
    from_sources(TELEOP)(messages)
    steps = [encoded_step_from_bytes(data) for _, _, _, data in records(messages)]
    assert [step.source for step in steps] == [TELEOP, TELEOP, encoded_step.SOURCE_NONE]


@pytest.mark.parametrize(
    ("sources", "expected"),
    [
        ((SCRIPTED,), "demonstration"),
        ((TELEOP, SCRIPTED), "demonstration"),
        ((HOLD, TELEOP), "demonstration"),
        ((POLICY,), "policy"),
        ((POLICY, HOLD), "policy"),
        ((HOLD,), "policy"),
        ((POLICY, TELEOP), "intervention"),
        ((HOLD, POLICY, SCRIPTED), "intervention"),
    ],
)
def test_who_acted_is_told_by_every_action_but_holds(
    tmp_path: Path, sources: tuple[int, ...], expected: str
) -> None:
    write_episode(tmp_path / "bag", SPECIFICATION, change=from_sources(*sources))
    buffer = empty_buffer()
    fill_from_bags(buffer, [tmp_path], SPECIFICATION)
    assert [episode.source for episode in buffer.episodes] == [expected]


def test_the_replay_from_bags_is_the_replay_of_their_episodes(tmp_path: Path) -> None:
    for seed in range(5):
        outcome = "failure" if seed % 2 else "success"
        write_episode(tmp_path / f"bag_{seed}", SPECIFICATION, 5 + seed, seed, outcome=outcome)
    from_bags, by_hand = empty_buffer(), empty_buffer()
    fill_from_bags(from_bags, [tmp_path], SPECIFICATION)
    for episode in BagIngest(SPECIFICATION).read([tmp_path]):
        by_hand.add(episode, episode.record.source)
    assert len(from_bags.episodes) == 5
    assert from_bags.content_hash() == by_hand.content_hash()
    assert from_bags.episodes[0].reached == {"success", "grasped", "cut"}
    assert from_bags.episodes[1].reached == {"grasped"}


def test_filling_bag_by_bag_is_filling_at_once(tmp_path: Path) -> None:
    at_once, one_by_one = empty_buffer(), empty_buffer()
    cursor = None
    for seed in range(3):
        write_episode(tmp_path / f"bag_{seed}", SPECIFICATION, seed=seed)
        cursor = fill_from_bags(one_by_one, [tmp_path], SPECIFICATION, cursor=cursor)
    assert fill_from_bags(at_once, [tmp_path], SPECIFICATION) == cursor
    assert at_once.content_hash() == one_by_one.content_hash()


def test_only_what_is_new_is_opened_and_the_cursor_survives_as_json(tmp_path: Path) -> None:
    first = write_episode(tmp_path / "a", SPECIFICATION, seed=1)
    buffer = empty_buffer()
    cursor = fill_from_bags(buffer, [tmp_path], SPECIFICATION)
    assert cursor.bags == {str(first): (buffer.episodes[0].identifier,)}
    next(first.glob("*.mcap")).write_bytes(b"would be refused if it were opened")
    write_episode(tmp_path / "b", SPECIFICATION, seed=2)
    restored = IngestCursor.model_validate_json(cursor.model_dump_json())
    report = IngestReport()
    after = fill_from_bags(buffer, [tmp_path], SPECIFICATION, cursor=restored, report=report)
    assert report.lines() == ["1 of 1 bags used: 1 episodes, 12 steps"]
    assert len(after.bags) == len(buffer.episodes) == 2


def test_what_was_taken_is_passed_over_in_a_copy_and_in_a_replay_that_has_it(tmp_path: Path) -> None:
    write_episode(tmp_path / "a", SPECIFICATION)
    buffer = empty_buffer()
    cursor = fill_from_bags(buffer, [tmp_path], SPECIFICATION)
    shutil.copytree(tmp_path / "a", tmp_path / "b")
    strict = IngestOptions(strict=True)
    after = fill_from_bags(buffer, [tmp_path], SPECIFICATION, strict, cursor=cursor)
    assert after.bags[str(tmp_path / "b")] == ()
    fill_from_bags(buffer, [tmp_path], SPECIFICATION, strict)
    assert len(buffer.episodes) == buffer.total_added == 1


def test_a_refused_bag_is_tried_again(tmp_path: Path) -> None:
    bag = write_episode(tmp_path / "a", SPECIFICATION)
    metadata = (bag / "metadata.yaml").read_bytes()
    (bag / "metadata.yaml").unlink()
    buffer, report = empty_buffer(), IngestReport()
    cursor = fill_from_bags(buffer, [tmp_path], SPECIFICATION, report=report)
    assert cursor.bags == {} and "recording was interrupted" in report.refused[0][1]
    (bag / "metadata.yaml").write_bytes(metadata)
    fill_from_bags(buffer, [tmp_path], SPECIFICATION, cursor=cursor)
    assert len(buffer.episodes) == 1


def test_an_episode_that_the_replay_refuses_is_reported(tmp_path: Path) -> None:
    write_episode(tmp_path / "a", SPECIFICATION, actions=30, seed=1)
    write_episode(tmp_path / "b", SPECIFICATION, actions=10, seed=2)
    buffer, report = empty_buffer(capacity=20), IngestReport()
    fill_from_bags(buffer, [tmp_path], SPECIFICATION, report=report)
    assert report.lines()[0] == "1 of 2 bags used: 1 episodes, 10 steps"
    assert "needs 31 rows, the replay has 20" in report.refused[0][1]
    with pytest.raises(EpisodeError, match="needs 31 rows"):
        fill_from_bags(empty_buffer(20), [tmp_path], SPECIFICATION, IngestOptions(strict=True))


def test_a_replay_without_cameras_does_not_decode_images(tmp_path: Path) -> None:
    def spoil(messages: list[Transition]) -> None:
        messages[1].observation.images[0].data = b"no image"

    write_episode(tmp_path / "a", SPECIFICATION, change=spoil)
    buffer = empty_buffer(cameras=())
    fill_from_bags(buffer, [tmp_path], SPECIFICATION)
    assert len(buffer.episodes) == 1


def test_the_source_can_be_decided_by_who_fills(tmp_path: Path) -> None:
    write_episode(tmp_path / "a", SPECIFICATION)
    buffer = empty_buffer()
    fill_from_bags(buffer, [tmp_path], SPECIFICATION, source=lambda record: "demonstration")
    assert buffer.episodes[0].source == "demonstration"


def test_episodes_are_handed_out_before_the_last_bag_is_read(tmp_path: Path) -> None:
    for seed in range(12):
        write_episode(tmp_path / f"bag_{seed:02d}", SPECIFICATION, actions=2, seed=seed)
    opened: list[int] = []
    episodes = BagIngest(SPECIFICATION).iterate([tmp_path], lambda done, total: opened.append(done))
    next(episodes)
    assert max(opened) < 6
    assert len(list(episodes)) == 11 and opened[-1] == 12


def test_many_episodes_in_one_bag_are_handed_out_in_their_order(tmp_path: Path) -> None:
    messages = [make_transitions(SPECIFICATION, 2, seed) for seed in range(9)]
    write_bag(tmp_path / "bag", [record for episode in messages for record in records(episode)])
    buffer = empty_buffer()
    cursor = fill_from_bags(buffer, [tmp_path], SPECIFICATION)
    expected = [episode[0].episode_id for episode in messages]
    assert [episode.identifier for episode in buffer.episodes] == expected
    assert list(cursor.bags.values()) == [tuple(expected)]
    np.testing.assert_array_equal(buffer.steps.proprioception[0], messages[0][0].observation.proprioception)
