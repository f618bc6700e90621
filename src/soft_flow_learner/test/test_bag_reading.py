"""Which bags and episodes are read, and with which reason the others are not."""

import re
import shutil
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from bag_maker import (
    make_transitions,
    records,
    small_specification,
    text_record,
    write_bag,
    write_episode,
)
from rosbags.rosbag2 import StoragePlugin

from soft_flow_learner.errors import BagError, EpisodeError
from soft_flow_learner.ingest import BagIngest, IngestOptions
from soft_flow_learner.stream.label_corrections import LabelCorrection
from soft_flow_msgs.msg import Transition

SPECIFICATION = small_specification()
CUSTOM = {"task_specification": SPECIFICATION.canonical_json()}
Messages = list[Transition]


def reason_for(root: Path, **options: object) -> str:
    """The one reason for which something under `root` was refused."""
    ingest = BagIngest(SPECIFICATION, IngestOptions(**options))  # type: ignore[arg-type]
    ingest.read([root])
    assert len(ingest.report.refused) == 1, ingest.report.lines()
    name, reason = ingest.report.refused[0]
    assert str(root) in name
    return reason


def drop(index: int) -> Callable[[Messages], Messages]:
    return lambda messages: [m for i, m in enumerate(messages) if i != index]


def spoil(index: int, action: Callable[[Transition], object]) -> Callable[[Messages], None]:
    def change(messages: Messages) -> None:
        action(messages[index])

    return change


def set_nan(values: object) -> None:
    values[0] = float("nan")  # type: ignore[index]


def only_an_observation(messages: Messages) -> Messages:
    messages[0].is_last = True
    return messages[:1]


BROKEN_EPISODES = [
    (drop(4), r"gap: step 5 follows step 3 after 100 ms"),
    (spoil(6, lambda m: setattr(m.header.stamp, "nanosec", 7)), r"gap: step 6 follows step 5"),
    (drop(0), r"beginning is missing: it starts at step 1"),
    (drop(12), r"end is missing: step 11"),
    (lambda messages: [*messages, messages[3]], r"step 3 occurs twice"),
    (spoil(3, lambda m: set_nan(m.observation.proprioception)), r"step 3: .*'position' is not finite"),
    (spoil(3, lambda m: set_nan(m.action.executed)), r"step 3: action or reward is not finite"),
    (spoil(2, lambda m: setattr(m, "reward", float("inf"))), r"step 2: action or reward is not finite"),
    (spoil(2, lambda m: setattr(m.action, "executed", [])), r"step 2: action has 0 numbers, expected 8"),
    (
        spoil(2, lambda m: setattr(m.observation, "proprioception", [1.0])),
        r"step 2: proprioception has 1 numbers",
    ),
    (spoil(1, lambda m: m.observation.images.clear()), r"step 1: 0 images, expected 1"),
    (spoil(1, lambda m: setattr(m.observation.images[0], "data", b"no")), r"step 1: camera 'palm': 2 bytes"),
    (spoil(0, lambda m: setattr(m.observation, "specification_hash", "f" * 64)), r"step 0 .* ffffffffffff"),
    (spoil(12, lambda m: setattr(m, "outcome", "discard")), r"outcome is 'discard'"),
    (spoil(5, lambda m: setattr(m, "is_last", True)), r"goes on after its last step 5"),
    (only_an_observation, r"empty: it has no action"),
]


@pytest.mark.parametrize(("change", "reason"), BROKEN_EPISODES, ids=[r for _, r in BROKEN_EPISODES])
def test_a_broken_episode_is_skipped_with_its_reason(
    tmp_path: Path, change: Callable[[Messages], Messages | None], reason: str
) -> None:
    write_episode(tmp_path / "bag", SPECIFICATION, change=change)
    assert re.search(reason, reason_for(tmp_path))


def truncate(bag: Path) -> None:
    file = next(bag.glob("*.mcap"))
    file.write_bytes(file.read_bytes()[: file.stat().st_size // 2])


def test_a_truncated_bag_is_skipped_with_its_reason(tmp_path: Path) -> None:
    truncate(write_episode(tmp_path / "bag", SPECIFICATION))
    assert "truncated or damaged" in reason_for(tmp_path)


@pytest.mark.parametrize("fraction", np.linspace(0.05, 0.95, 10))
def test_a_damaged_byte_never_goes_unnoticed_as_an_error_of_another_kind(
    tmp_path: Path, fraction: float
) -> None:
    bag = write_episode(tmp_path / "bag", SPECIFICATION)
    file = next(bag.glob("*.mcap"))
    data = bytearray(file.read_bytes())
    data[int(fraction * len(data))] ^= 0xFF
    file.write_bytes(data)
    ingest = BagIngest(SPECIFICATION)
    ingest.read([tmp_path])
    assert len(ingest.report.refused) + ingest.report.used_bags == 1


def test_a_bag_that_was_never_closed_is_skipped_with_its_reason(tmp_path: Path) -> None:
    (write_episode(tmp_path / "bag", SPECIFICATION) / "metadata.yaml").unlink()
    assert "recording was interrupted" in reason_for(tmp_path)


def test_a_bag_in_the_recording_folder_is_skipped_with_its_reason(tmp_path: Path) -> None:
    write_episode(tmp_path / ".recording" / "bag", SPECIFICATION)
    assert "interrupted before the episode ended" in reason_for(tmp_path)


def test_a_missing_storage_file_is_named(tmp_path: Path) -> None:
    next(write_episode(tmp_path / "bag", SPECIFICATION).glob("*.mcap")).unlink()
    assert ".mcap" in reason_for(tmp_path)


def test_a_bag_without_transitions_is_foreign(tmp_path: Path) -> None:
    write_bag(tmp_path / "bag", text_record("chatter", "hello"), topics=())
    assert "foreign: no topic 'transitions', only ['chatter']" in reason_for(tmp_path)


def test_a_transitions_topic_of_another_type_is_foreign(tmp_path: Path) -> None:
    write_bag(tmp_path / "bag", text_record("transitions", "hello"), topics=())
    assert "of type std_msgs/msg/String, expected soft_flow_msgs/msg/Transition" in reason_for(tmp_path)


def test_an_empty_bag_is_skipped_with_its_reason(tmp_path: Path) -> None:
    write_bag(tmp_path / "bag", [], CUSTOM)
    assert "empty: topic 'transitions' has no messages" in reason_for(tmp_path)


@pytest.mark.parametrize("where", ["custom data", "topic"])
def test_a_bag_of_another_specification_is_refused_by_the_first_differing_field(
    tmp_path: Path, where: str
) -> None:
    other = small_specification(rate_hz=10.0)
    messages = records(make_transitions(other, 5))
    if where == "topic":
        write_bag(tmp_path / "bag", [*messages, *text_record("task/specification", other.canonical_json())])
    else:
        write_bag(tmp_path / "bag", messages, {"task_specification": other.canonical_json()})
    assert "first differing field 'rate_hz': expected 20.0, got 10.0" in reason_for(tmp_path)


def test_another_chunk_length_is_no_other_specification(tmp_path: Path) -> None:
    other = small_specification(chunk={"length": 8, "executed": 2})
    write_episode(tmp_path / "bag", other)
    assert len(BagIngest(SPECIFICATION).read([tmp_path])) == 1


def test_an_episode_is_read_only_once(tmp_path: Path) -> None:
    shutil.copytree(write_episode(tmp_path / "a", SPECIFICATION), tmp_path / "b")
    assert "already read from" in reason_for(tmp_path)


def test_links_to_bags_are_followed_but_not_in_circles(tmp_path: Path) -> None:
    write_episode(tmp_path / "elsewhere" / "bag", SPECIFICATION)
    (tmp_path / "bags").mkdir()
    (tmp_path / "bags" / "link").symlink_to(tmp_path / "elsewhere")
    (tmp_path / "elsewhere" / "circle").symlink_to(tmp_path / "bags")
    assert len(BagIngest(SPECIFICATION, IngestOptions(strict=True)).read([tmp_path / "bags"])) == 1


def test_strict_raises_at_the_first_bag_that_cannot_be_used(tmp_path: Path) -> None:
    truncate(write_episode(tmp_path / "bag", SPECIFICATION))
    with pytest.raises(BagError, match="truncated"):
        BagIngest(SPECIFICATION, IngestOptions(strict=True)).read([tmp_path])


def test_strict_raises_at_the_first_episode_that_cannot_be_used(tmp_path: Path) -> None:
    write_episode(tmp_path / "bag", SPECIFICATION, change=drop(4))
    with pytest.raises(EpisodeError, match="gap"):
        BagIngest(SPECIFICATION, IngestOptions(strict=True)).read([tmp_path])


def test_a_folder_that_does_not_exist_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(BagError, match="no such directory"):
        BagIngest(SPECIFICATION).read([tmp_path / "nothing"])


def test_a_flag_that_the_task_does_not_have_is_an_error() -> None:
    with pytest.raises(BagError, match="flag 'lifted' is no stage"):
        BagIngest(SPECIFICATION, IngestOptions(flag="lifted"))


def test_one_broken_bag_does_not_keep_others_from_being_used(tmp_path: Path) -> None:
    truncate(write_episode(tmp_path / "a", SPECIFICATION, seed=1))
    write_episode(tmp_path / "b", SPECIFICATION, seed=2, actions=9)
    ingest = BagIngest(SPECIFICATION)
    ingest.read([tmp_path])
    assert ingest.report.lines()[0] == "1 of 2 bags used: 1 episodes, 9 steps"


def test_images_and_numbers_are_read_as_they_were_written(tmp_path: Path) -> None:
    messages = make_transitions(SPECIFICATION, 6, seed=3)
    write_bag(tmp_path / "bag", records(messages), CUSTOM)
    (episode,) = BagIngest(SPECIFICATION).read([tmp_path])
    random = np.random.default_rng(3)
    random.integers(1 << 62)  # the identifier
    for step in range(7):
        expected = random.uniform(-1, 1, SPECIFICATION.proprioception_dimension).astype(np.float32)
        np.testing.assert_array_equal(episode.record.proprioception[step], expected)
        expected = random.integers(0, 255, (24, 24, 3), dtype=np.uint8)
        np.testing.assert_array_equal(episode.images["palm"][step], expected)
        if step < 6:
            expected = random.uniform(-0.5, 0.5, 8).astype(np.float32)
            np.testing.assert_array_equal(episode.record.actions[step], expected)
    assert episode.record.terminal
    assert episode.record.flags["cut"].tolist() == [False] * 5 + [True]


def test_sqlite3_and_mcap_bags_give_the_same_episodes(tmp_path: Path) -> None:
    contents = records(make_transitions(SPECIFICATION, 6))
    for storage in (StoragePlugin.MCAP, StoragePlugin.SQLITE3):
        write_bag(tmp_path / storage.name, contents, CUSTOM, storage)
    (one,) = BagIngest(SPECIFICATION).read([tmp_path / "MCAP"])
    (other,) = BagIngest(SPECIFICATION).read([tmp_path / "SQLITE3"])
    np.testing.assert_array_equal(one.images["palm"], other.images["palm"])
    for name in ("proprioception", "actions", "rewards"):
        np.testing.assert_array_equal(getattr(one.record, name), getattr(other.record, name))
    assert one.record.identifier == other.record.identifier


def test_several_episodes_in_one_bag_are_kept_apart_even_if_their_records_are_mixed(tmp_path: Path) -> None:
    first, second = (make_transitions(SPECIFICATION, 5, seed) for seed in (1, 2))
    mixed = [message for pair in zip(first, second, strict=True) for message in pair]
    write_bag(tmp_path / "bag", records(mixed), CUSTOM)
    episodes = BagIngest(SPECIFICATION).read([tmp_path])
    assert [episode.record.identifier for episode in episodes] == [
        first[0].episode_id,
        second[0].episode_id,
    ]
    assert [len(episode) for episode in episodes] == [5, 5]


def test_a_namespaced_topic_is_read_when_it_is_named_and_hinted_at_when_not(tmp_path: Path) -> None:
    contents = records(make_transitions(SPECIFICATION, 5), "/left/transitions")
    write_bag(tmp_path / "bag", contents, topics=())
    assert "name the topic with --topic" in reason_for(tmp_path)
    assert len(BagIngest(SPECIFICATION, IngestOptions(topic="left/transitions")).read([tmp_path])) == 1


def test_only_episodes_that_reached_the_asked_stage_are_kept(tmp_path: Path) -> None:
    write_episode(tmp_path / "a", SPECIFICATION, seed=1)
    write_episode(tmp_path / "b", SPECIFICATION, seed=2, outcome="failure")
    write_episode(tmp_path / "c", SPECIFICATION, seed=3, outcome="failure", grasped=False)
    counts = {}
    for flag in ("success", "grasped", None):
        ingest = BagIngest(SPECIFICATION, IngestOptions(flag=flag))
        counts[flag] = len(ingest.read([tmp_path]))
    assert counts == {"success": 1, "grasped": 2, None: 3}
    assert not ingest.report.refused


def test_images_are_left_out_when_they_are_not_wanted(tmp_path: Path) -> None:
    write_episode(tmp_path / "a", SPECIFICATION)
    (episode,) = BagIngest(SPECIFICATION, IngestOptions(images=False)).read([tmp_path])
    assert episode.images == {}


def test_corrected_labels_beside_the_bags_count(tmp_path: Path) -> None:
    for seed in range(3):
        write_episode(tmp_path / f"episode-{seed}", SPECIFICATION, seed=seed)
    first, second, _ = (make_transitions(SPECIFICATION, 1, seed)[0].episode_id for seed in range(3))
    lines = [
        LabelCorrection(stamp_ns=1, episode_id=first, outcome="failure"),
        LabelCorrection(stamp_ns=2, episode_id=second, outcome="discard"),
    ]
    (tmp_path / "labels.jsonl").write_text("".join(line.model_dump_json() + "\n" for line in lines))
    ingest = BagIngest(SPECIFICATION)
    outcomes = {episode.record.identifier: episode.record.outcome for episode in ingest.read([tmp_path])}
    assert outcomes[first] == "failure" and second not in outcomes and len(outcomes) == 2
    assert "discard" in ingest.report.refused[0][1]
