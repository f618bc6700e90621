"""Episode node and arbiter in-process, with a cell and a policy without physics."""

import json
from pathlib import Path

import numpy as np
import pytest
from episode_graph import bag_messages, bags, build, log, start_episode
from fake_cell import FakeCell, FakePolicy, Faults, Graph, overrides
from rclpy.serialization import deserialize_message
from std_msgs.msg import String
from std_srvs.srv import Trigger

from soft_flow_contract import topics
from soft_flow_contract.errors import ContractError
from soft_flow_contract.task_specification import TaskSpecification
from soft_flow_episode.command_arbiter_node import CommandArbiterNode
from soft_flow_episode.episode_node import EpisodeNode
from soft_flow_msgs.msg import EpisodeState, ExecutedAction, Transition
from soft_flow_msgs.srv import EndEpisode, LabelEpisode, SetMode, StartEpisode


@pytest.mark.parametrize("mode", ["policy", "teleop"])
def test_it_runs_episodes_labels_them_and_leaves(graph: Graph, tmp_path: Path, mode: str) -> None:
    cell, _ = build(graph, tmp_path, mode=mode, episodes=2, first_seed=10, grasp_assist=False)
    assert graph.spin_to_exit() == 0
    assert [(line["seed"], line["outcome"], line["steps"]) for line in log(tmp_path)] == [
        (10, "success", 12),
        (11, "failure", 12),
    ]
    assert cell.grasp_assist == [False, False]
    messages = [deserialize_message(data, Transition) for data in bag_messages(bags(tmp_path)[0])]
    assert len(messages) == 13
    source = ExecutedAction.SOURCE_POLICY if mode == "policy" else ExecutedAction.SOURCE_SCRIPTED
    assert {message.action.source for message in messages[:-1]} == {source}
    assert {message.outcome for message in messages} == {"success"}
    stamps = [message.observation.header.stamp.nanosec for message in messages]
    assert stamps == [k * 50_000_000 for k in range(13)]


def test_transitions_are_published_after_the_label_from_the_bytes_of_the_bag(
    graph: Graph, tmp_path: Path
) -> None:
    cell, node = build(graph, tmp_path, auto_start=False)
    published: list[bytes] = []
    early: list[int] = []
    cell.create_subscription(
        Transition, topics.TRANSITIONS, published.append, topics.TRANSITION_STREAM, raw=True
    )
    graph.spin_until(lambda: node.transitions.get_subscription_count() > 0)
    cell.on_tick = lambda seed, tick: early.append(len(published))
    start_episode(graph, seed=0)
    graph.spin_until(lambda: len(published) == 13)
    assert set(early) == {0}
    assert [deserialize_message(data, Transition) for data in published] == [
        deserialize_message(data, Transition) for data in bag_messages(bags(tmp_path)[0])
    ]


def test_invalid_episodes_are_reported_and_kept_nowhere(
    graph: Graph, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    build(graph, tmp_path, Faults(gap={0: 5}, invalid={1: 3}), episodes=1)
    assert graph.spin_to_exit() == 0
    lines = log(tmp_path)
    assert [(line["outcome"], line["bag"] is None) for line in lines] == [
        ("discard", True),
        ("discard", True),
        ("success", False),
    ]
    assert "gap: observation misses 1 tick(s)" in lines[0]["reason"]
    assert lines[1]["reason"] == "invalid: the world diverged"
    assert len(bags(tmp_path)) == 1
    assert capsys.readouterr().out.count("INVALID, not kept") == 2


def test_too_many_invalid_episodes_end_the_run_with_an_error(
    graph: Graph, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    build(graph, tmp_path, Faults(invalid=dict.fromkeys(range(9), 1)), episodes=3, max_invalid=2)
    assert graph.spin_to_exit() == 4
    assert "2 invalid episodes (limit 2), 0 of 3 recorded" in capsys.readouterr().err


def test_a_stall_is_invalid_and_names_what_is_missing(graph: Graph, tmp_path: Path) -> None:
    build(graph, tmp_path, Faults(silent={0: 4}), episodes=1, stall_limit=1.0)
    assert graph.spin_to_exit() == 0
    assert "waits for the task/outcome of step 4" in log(tmp_path)[0]["reason"]


def test_a_run_is_continued_and_a_complete_one_left_at_once(graph: Graph, tmp_path: Path) -> None:
    _, node = build(graph, tmp_path, episodes=1)
    for _ in range(2):
        assert graph.spin_to_exit() == 0
        graph.remove(node)
        values = {"output": str(tmp_path / "out"), "episodes": 2}
        node = graph.add(EpisodeNode(graph.context, overrides(**{"lockstep": True, **values})))
    assert [line["seed"] for line in log(tmp_path)] == [0, 1]
    assert graph.spin_to_exit() == 0
    assert len(log(tmp_path)) == 2


def test_an_emergency_stop_discards_the_running_episode(graph: Graph, tmp_path: Path) -> None:
    cell, node = build(graph, tmp_path, episodes=2, max_invalid=2)
    stop = cell.create_client(Trigger, topics.EMERGENCY_STOP)
    cell.on_tick = lambda seed, tick: stop.call_async(Trigger.Request()) if tick == 3 else None
    assert graph.spin_to_exit() == 4
    first, second = log(tmp_path)
    assert "emergency stop" in first["reason"]
    assert "emergency stop is on" in second["reason"] and "emergency_reset" in second["reason"]
    assert not bags(tmp_path)


def test_a_mode_change_by_another_discards_the_running_episode(graph: Graph, tmp_path: Path) -> None:
    cell, _ = build(graph, tmp_path, episodes=1)
    client, done = cell.create_client(SetMode, topics.SET_MODE), []

    def take_over(seed: int, tick: int) -> None:
        if seed == 0 and tick == 3:
            done.append(client.call_async(SetMode.Request(mode=0)))

    cell.on_tick = take_over
    assert graph.spin_to_exit() == 0
    assert "left the episode's epoch" in log(tmp_path)[0]["reason"]


def test_a_graph_that_does_not_get_ready_is_given_up_naming_who_waits_for_what(
    graph: Graph, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    values = {"output": str(tmp_path), "ready_timeout": 1.0, "required_nodes": "fake_policy, nobody"}
    graph.add(FakePolicy(graph.context))
    graph.add(EpisodeNode(graph.context, overrides(**{"lockstep": True, **values})))
    assert graph.spin_to_exit() == 3
    text = capsys.readouterr().err
    assert "fake_policy waits for the arbiter" in text
    assert "nobody is not running" in text
    assert "/task/outcome" in text and "simulation/reset" in text


def test_max_steps_truncates_earlier_than_the_task(graph: Graph, tmp_path: Path) -> None:
    build(graph, tmp_path, episodes=1, max_steps=5)
    assert graph.spin_to_exit() == 0
    assert log(tmp_path)[0]["steps"] == 5
    last = deserialize_message(bag_messages(bags(tmp_path)[0])[-1], Transition)
    assert last.is_last and not last.is_terminal and last.step == 5


def test_in_real_time_an_episode_begins_two_ticks_after_the_reset(graph: Graph, tmp_path: Path) -> None:
    build(graph, tmp_path, episodes=1, lockstep=False)
    assert graph.spin_to_exit() == 0
    first = deserialize_message(bag_messages(bags(tmp_path)[0])[0], Transition)
    assert first.header.stamp.nanosec == 2 * 50_000_000
    assert log(tmp_path)[0]["steps"] == 10


def test_without_record_only_summaries_are_kept(graph: Graph, tmp_path: Path) -> None:
    build(graph, tmp_path, episodes=1, record=False)
    assert graph.spin_to_exit() == 0
    assert log(tmp_path)[0]["bag"] is None
    assert not bags(tmp_path)


def test_services_start_and_end_episodes_by_hand(graph: Graph, tmp_path: Path) -> None:
    _, node = build(graph, tmp_path, auto_start=False, steps=10**6)
    states: list[EpisodeState] = []
    node.create_subscription(EpisodeState, topics.EPISODE_STATE, states.append, topics.STATE)
    answer = graph.call(EndEpisode, topics.EPISODE_END, EndEpisode.Request(outcome="success"))
    assert not answer.success and "no episode runs" in answer.message
    start_episode(graph, seed=77)
    graph.spin_until(lambda: bool(states) and states[-1].state == EpisodeState.RUNNING)
    again = graph.call(StartEpisode, topics.EPISODE_START, StartEpisode.Request(seed=1))
    assert not again.success and "RUNNING" in again.message
    wrong = graph.call(EndEpisode, topics.EPISODE_END, EndEpisode.Request(outcome="maybe"))
    assert not wrong.success and "success, failure, discard" in wrong.message
    assert graph.call(EndEpisode, topics.EPISODE_END, EndEpisode.Request(outcome="success")).success
    graph.spin_until(lambda: states[-1].state == EpisodeState.IDLE)
    assert states[-1].finished[0].seed == 77 and states[-1].finished[0].outcome == "success"
    assert Path(states[-1].finished[0].bag).is_dir()


def test_a_manual_label_is_awaited(graph: Graph, tmp_path: Path) -> None:
    _, node = build(graph, tmp_path, episodes=1, label="manual")
    states: list[EpisodeState] = []
    node.create_subscription(EpisodeState, topics.EPISODE_STATE, states.append, topics.STATE)
    graph.spin_until(lambda: bool(states) and states[-1].state == EpisodeState.LABELLING)
    assert not bags(tmp_path)
    wrong = graph.call(LabelEpisode, topics.EPISODE_LABEL, LabelEpisode.Request(outcome="good"))
    assert not wrong.success
    label = node.create_client(LabelEpisode, topics.EPISODE_LABEL)
    label.call_async(
        LabelEpisode.Request(outcome="failure")
    )  # the node leaves, perhaps before it is answered
    assert graph.spin_to_exit() == 0
    assert log(tmp_path)[0]["outcome"] == "failure"


def test_the_label_of_a_finished_episode_can_be_corrected(graph: Graph, tmp_path: Path) -> None:
    _, node = build(graph, tmp_path, auto_start=False)
    states: list[EpisodeState] = []
    corrections: list[String] = []
    node.create_subscription(EpisodeState, topics.EPISODE_STATE, states.append, topics.STATE)
    node.create_subscription(String, topics.EPISODE_LABELS, corrections.append, topics.RECORDED)
    start_episode(graph, seed=0)
    graph.spin_until(lambda: bool(states) and bool(states[-1].finished))
    request = LabelEpisode.Request(episode_id=states[-1].finished[0].episode_id, outcome="failure")
    assert graph.call(LabelEpisode, topics.EPISODE_LABEL, request).success
    graph.spin_until(lambda: bool(corrections))
    assert (tmp_path / "out" / "labels.jsonl").read_text() == corrections[0].data + "\n"
    told = json.loads(corrections[0].data)
    assert (told["episode_id"], told["outcome"]) == (request.episode_id, "failure")
    assert (log(tmp_path)[0]["outcome"], log(tmp_path)[0]["recorded_outcome"]) == ("failure", "success")
    unknown = LabelEpisode.Request(episode_id="nobody", outcome="failure")
    answer = graph.call(LabelEpisode, topics.EPISODE_LABEL, unknown)
    assert not answer.success and "nobody is not finished or not there" in answer.message


def test_the_specification_reaches_late_joiners(
    graph: Graph, tmp_path: Path, specification: TaskSpecification
) -> None:
    node = graph.add(
        EpisodeNode(graph.context, overrides(lockstep=True, output=str(tmp_path), auto_start=False))
    )
    texts: list[String] = []
    node.create_subscription(String, topics.TASK_SPECIFICATION, texts.append, topics.STATE)
    graph.spin_until(lambda: bool(texts))
    assert TaskSpecification.from_json(texts[0].data, "topic").hash == specification.hash


@pytest.mark.parametrize(("name", "value"), [("mode", "autopilot"), ("label", "guess")])
def test_an_unknown_choice_is_refused_naming_those_that_exist(
    graph: Graph, tmp_path: Path, name: str, value: str
) -> None:
    with pytest.raises(ContractError, match=f"parameter {name}: expected .* or .*, got '{value}'"):
        EpisodeNode(graph.context, overrides(lockstep=True, output=str(tmp_path), **{name: value}))


def test_what_was_executed_is_recorded_and_not_what_was_proposed(graph: Graph, tmp_path: Path) -> None:
    cell = graph.add(FakeCell(graph.context))
    policy = graph.add(FakePolicy(graph.context))
    policy.value = 1.0
    latch = str(tmp_path / "latch.json")
    graph.add(CommandArbiterNode(graph.context, overrides(lockstep=True, latch_file=latch)))
    graph.add(EpisodeNode(graph.context, overrides(lockstep=True, output=str(tmp_path / "out"))))
    assert graph.spin_to_exit() == 0
    first = deserialize_message(bag_messages(bags(tmp_path)[0])[0], Transition).action
    assert first.clamped and first.policy_version == 7
    np.testing.assert_allclose(first.proposed, 1.0)
    np.testing.assert_allclose(first.executed[:3], 1 / np.sqrt(3), rtol=1e-6)
    sent = cell.arm_targets[0].pose.position
    recorded = first.arm_target.position
    assert (sent.x, sent.y, sent.z) == (recorded.x, recorded.y, recorded.z)
