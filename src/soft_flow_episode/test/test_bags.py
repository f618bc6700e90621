"""Bags of real messages: readable by others, without anything that could move a robot."""

from pathlib import Path

import numpy as np
import pytest
import yaml
from fake_cell import observation_data
from mcap.reader import make_reader
from rclpy.serialization import deserialize_message, serialize_message
from rosbags.rosbag2 import Reader
from rosbags.typesys import Stores, get_typestore

from soft_flow_contract.message_conversion import from_transition_message, header, to_observation_message
from soft_flow_contract.task_specification import TaskSpecification
from soft_flow_episode import bag_writer
from soft_flow_episode.bag_writer import BagWriter, transition_types
from soft_flow_episode.episode_plan import OutputError
from soft_flow_episode.message_conversion import stamp_of, to_transitions, without_padding
from soft_flow_episode.step_joiner import JoinedEpisode, Outcome
from soft_flow_msgs.msg import ExecutedAction, Observation, Transition

DT = 50_000_000
START = 20 * DT


def episode(specification: TaskSpecification, steps: int = 5, terminal: bool = True) -> JoinedEpisode:
    raw, actions, outcomes = [], [], []
    for k in range(steps + 1):
        message = to_observation_message(observation_data(specification, START + k * DT), specification)
        raw.append(serialize_message(message))
    for k in range(steps):
        last = k == steps - 1
        action = ExecutedAction(header=header(START + k * DT), source=ExecutedAction.SOURCE_SCRIPTED)
        action.executed = action.proposed = np.full(23, k / 10, dtype=np.float32)
        actions.append(action)
        flags = {"grasped": k > 1, "cut": last and terminal}
        end = last and terminal
        outcomes.append(Outcome("uuid", float(end), flags, end, last and not terminal, end, True, ""))
    return JoinedEpisode(START, DT, raw, actions, outcomes)


@pytest.fixture
def bag(tmp_path: Path, message_folder: Path, specification: TaskSpecification) -> Path:
    transitions = to_transitions("uuid", episode(specification), "success")
    writer = BagWriter(tmp_path, message_folder, "/transitions", 2000)
    custom = {"task_specification": specification.canonical_json(), "seed": "3", "operator": 'scripted: "x"'}
    return writer.write("seed-000003-abcdef00", transitions, custom)


def test_the_mcap_library_reads_every_transition(bag: Path, specification: TaskSpecification) -> None:
    with (bag / f"{bag.name}.mcap").open("rb") as file:
        records = list(make_reader(file).iter_messages())
    assert [message.log_time for _, _, message in records] == [START + k * DT for k in range(6)]
    assert {(schema.name, channel.topic) for schema, channel, _ in records} == {
        ("soft_flow_msgs/msg/Transition", "/transitions")
    }
    steps = [
        from_transition_message(deserialize_message(message.data, Transition), specification)
        for _, _, message in records
    ]
    assert [step.step for step in steps] == list(range(6))
    assert [step.is_last for step in steps] == [False] * 5 + [True]


def test_the_strict_rosbags_reader_decodes_every_field(bag: Path, specification: TaskSpecification) -> None:
    with Reader(bag) as reader:
        store = get_typestore(Stores.EMPTY)  # nothing but what the bag itself says of its types
        messages = []
        for connection, _, data in reader.messages():
            if not messages:
                from rosbags.typesys import get_types_from_msg

                store.register(get_types_from_msg(connection.msgdef.data, connection.msgtype))
            messages.append(store.deserialize_cdr(data, connection.msgtype))
    assert [message.step for message in messages] == list(range(6))
    assert messages[0].observation.specification_hash == specification.hash
    np.testing.assert_allclose(messages[2].action.executed, 0.2, rtol=1e-6)
    assert len(messages[0].observation.images) == 3


@pytest.mark.parametrize("label", ["success", "failure"])
@pytest.mark.parametrize("identifier", ["", "a", "ab", "abc", "abcd", "abcde", "abcdef", "abcdefg"])
def test_no_message_carries_padding_that_a_strict_reader_refuses(
    specification: TaskSpecification, message_folder: Path, label: str, identifier: str
) -> None:
    store = transition_types(message_folder)
    for _, data in to_transitions(identifier, episode(specification, 2), label):
        decoded = store.deserialize_cdr(data, "soft_flow_msgs/msg/Transition")
        assert len(store.serialize_cdr(decoded, "soft_flow_msgs/msg/Transition")) == len(data)
        again = deserialize_message(data, Transition)
        assert (again.outcome, again.episode_id) == (label, identifier)


def test_padding_is_cut_after_the_last_text() -> None:
    data = serialize_message(Transition(outcome="failure"))
    assert without_padding(data + b"\0" * 8, "failure") == without_padding(data, "failure")


def test_the_last_step_carries_the_final_observation_and_no_action(specification: TaskSpecification) -> None:
    transitions = to_transitions("uuid", episode(specification), "success")
    steps = [
        from_transition_message(deserialize_message(data, Transition), specification)
        for _, data in transitions
    ]
    assert steps[-1].action is None and steps[-1].is_terminal
    assert steps[-1].observation.stamp_ns == START + 5 * DT
    assert steps[-2].reward == 1.0 and not steps[-2].is_last
    assert steps[0].is_first and not any(step.is_first for step in steps[1:])
    assert steps[-1].flags == {"grasped": True, "cut": True}


def test_a_truncated_episode_is_last_but_not_terminal(specification: TaskSpecification) -> None:
    transitions = to_transitions("uuid", episode(specification, terminal=False), "failure")
    last = deserialize_message(transitions[-1][1], Transition)
    assert last.is_last and not last.is_terminal


def test_observations_are_recorded_as_they_were_sent(specification: TaskSpecification) -> None:
    source = episode(specification)
    for raw, (stamp_ns, data) in zip(
        source.observations, to_transitions("u", source, "failure"), strict=True
    ):
        observation = deserialize_message(data, Transition).observation
        assert stamp_of(raw) == stamp_ns
        assert observation == deserialize_message(raw, Observation)


def test_a_bag_holds_transitions_and_nothing_that_could_move_a_robot(bag: Path) -> None:
    information = yaml.safe_load((bag / "metadata.yaml").read_text())["rosbag2_bagfile_information"]
    topics = [item["topic_metadata"]["name"] for item in information["topics_with_message_count"]]
    assert topics == ["/transitions"]


def test_the_metadata_is_that_of_a_rosbag2_recording(bag: Path, specification: TaskSpecification) -> None:
    information = yaml.safe_load((bag / "metadata.yaml").read_text())["rosbag2_bagfile_information"]
    assert information["storage_identifier"] == "mcap"
    assert information["relative_file_paths"] == [f"{bag.name}.mcap"]
    assert information["message_count"] == 6
    assert information["starting_time"]["nanoseconds_since_epoch"] == START
    assert information["duration"]["nanoseconds"] == 5 * DT
    assert information["custom_data"]["operator"] == 'scripted: "x"'
    text = information["custom_data"]["task_specification"]
    assert TaskSpecification.from_json(text, "bag").hash == specification.hash
    quality = information["topics_with_message_count"][0]["topic_metadata"]["offered_qos_profiles"][0]
    assert (quality["reliability"], quality["durability"], quality["depth"]) == ("reliable", "volatile", 2000)


def test_a_bag_is_never_overwritten(bag: Path, message_folder: Path) -> None:
    writer = BagWriter(bag.parent, message_folder, "/transitions", 2000)
    with pytest.raises(OutputError, match="never overwritten"):
        writer.write(bag.name, [], {})


def test_missing_message_files_are_named(tmp_path: Path) -> None:
    bag_writer.transition_types.cache_clear()
    with pytest.raises(OutputError, match="build soft_flow_msgs"):
        BagWriter(tmp_path, tmp_path / "nowhere", "/transitions", 1)
