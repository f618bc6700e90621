import array
import json
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from builtin_interfaces.msg import Time
from diagnostic_msgs.msg import DiagnosticStatus
from policy_graph import DT, START, Graph, make_observation
from std_msgs.msg import String

from soft_flow_contract import topics
from soft_flow_contract.message_conversion import (
    from_observation_message,
    header,
    to_observation_message,
    to_time,
)
from soft_flow_contract.task_specification import TaskSpecification
from soft_flow_msgs.msg import ArbiterState
from soft_flow_msgs.srv import LoadCheckpoint
from soft_flow_policy.checkpoint import save_checkpoint
from soft_flow_policy.policy import FlowPolicy
from soft_flow_policy.served_policy import Sampling, ServedPolicy


@pytest.fixture(scope="module")
def checkpoint(tmp_path_factory: pytest.TempPathFactory, policy: FlowPolicy) -> Path:
    folder = tmp_path_factory.mktemp("policy") / "checkpoint"
    return save_checkpoint(folder, policy, version=7, step=1, stage="imitation")


@pytest.fixture
def graph(checkpoint: Path, specification: TaskSpecification) -> Iterator[Graph]:
    graph = Graph(checkpoint, specification, seed=5, temperature=0.5)
    yield graph
    graph.close()


def test_a_chunk_answers_the_observation_exactly_as_the_served_policy_plans(
    graph: Graph, checkpoint: Path, specification: TaskSpecification
) -> None:
    graph.be_ready()
    graph.specification.publish(String(data=specification.canonical_json()))
    graph.enter_epoch(3, START)
    assert graph.observe(START).healthy
    chunk = graph.wait_for_chunks(1)[0]
    assert chunk.header == header(START)
    assert (chunk.epoch, chunk.policy_version, chunk.horizon, chunk.action_dimension) == (3, 7, 16, 23)
    sent = to_observation_message(make_observation(specification, START), specification)

    served = ServedPolicy(str(checkpoint), Sampling(5, 0.5, True), "auto", None)
    expected = served.plan(from_observation_message(sent, specification))
    assert np.array_equal(np.asarray(chunk.actions), np.clip(expected.actions, -1, 1).ravel())
    assert chunk.log_prob == expected.log_prob
    assert chunk.clipped == bool(np.abs(expected.actions).max() > 1)
    assert graph.node.status().level == DiagnosticStatus.OK


def test_every_observation_is_answered_and_chunks_come_every_executed_steps(graph: Graph) -> None:
    graph.be_ready()
    graph.enter_epoch(1, START)
    for tick in range(-2, 17):
        heartbeat = graph.observe(START + tick * DT)
        assert heartbeat.healthy and heartbeat.header == header(START + tick * DT)
    graph.wait_for_chunks(3)
    assert [chunk.header for chunk in graph.chunks] == [header(START + k * DT) for k in (0, 8, 16)]
    assert [chunk.chunk_id for chunk in graph.chunks] == [1, 2, 3]


def test_a_new_epoch_is_planned_for_from_the_observation_that_came_before_it(graph: Graph) -> None:
    graph.be_ready()
    graph.enter_epoch(1, START)
    graph.observe(START)
    graph.observe(START + DT)
    graph.enter_epoch(2, START + DT)
    chunks = graph.wait_for_chunks(2)
    assert [(c.epoch, c.header.stamp) for c in chunks] == [(1, to_time(START)), (2, to_time(START + DT))]


def test_the_same_stamp_gives_the_same_chunk_in_another_epoch(graph: Graph) -> None:
    graph.be_ready()
    graph.enter_epoch(1, START)
    graph.observe(START)
    graph.enter_epoch(2, START)
    first, second = graph.wait_for_chunks(2)
    assert first.actions == second.actions and first.log_prob == second.log_prob


def test_nothing_is_planned_while_another_source_acts(graph: Graph) -> None:
    graph.be_ready()
    graph.enter_epoch(1, START, ArbiterState.MODE_TELEOP)
    assert graph.observe(START).healthy
    assert not graph.chunks


def test_an_observation_of_another_specification_is_refused(graph: Graph) -> None:
    graph.be_ready()
    graph.enter_epoch(1, START)
    assert not graph.observe(START, specification_hash="0" * 64).healthy
    assert not graph.chunks
    status = graph.node.status()
    assert status.level == DiagnosticStatus.ERROR and "specification" in status.message


def test_another_running_task_is_refused_naming_the_first_differing_field(
    graph: Graph, specification: TaskSpecification
) -> None:
    data = json.loads(specification.canonical_json())
    data["action"]["arm"]["rotation_scale"] = 0.3
    other = TaskSpecification.from_mapping(data, "other.yaml")
    graph.be_ready()
    graph.enter_epoch(1, START)
    graph.specification.publish(String(data=other.canonical_json()))
    graph.until(lambda: graph.node.status().level == DiagnosticStatus.ERROR, "mismatch noticed")
    assert "action.arm.rotation_scale" in graph.node.status().message
    assert not graph.observe(START).healthy
    assert not graph.chunks


def test_an_observation_that_is_not_finite_gives_no_chunk_and_an_error(graph: Graph) -> None:
    graph.be_ready()
    graph.enter_epoch(1, START)
    broken = make_observation(graph.task, START).proprioception
    broken[3] = np.nan
    assert not graph.observe(START, proprioception=array.array("f", broken)).healthy
    assert not graph.chunks
    assert graph.node.status().level == DiagnosticStatus.ERROR
    assert graph.observe(START + DT).healthy
    assert graph.wait_for_chunks(1)[0].header.stamp == to_time(START + DT)
    assert graph.node.status().level == DiagnosticStatus.OK


def test_load_checkpoint_swaps_a_good_one_in_and_refuses_a_broken_one(
    graph: Graph, policy: FlowPolicy, tmp_path: Path
) -> None:
    graph.be_ready()
    graph.enter_epoch(1, START)
    graph.observe(START)
    other = save_checkpoint(tmp_path / "other", policy, version=8, step=2, stage="imitation")
    client = graph.peer.create_client(LoadCheckpoint, topics.LOAD_CHECKPOINT)
    answers = []
    for path in (tmp_path / "nothing", other):
        future = client.call_async(LoadCheckpoint.Request(path=str(path)))
        graph.until(future.done, "answer of load_checkpoint")
        answers.append(future.result())
    assert (answers[0].success, answers[0].policy_version) == (False, 7)
    assert "nothing/manifest.json" in answers[0].message
    assert (answers[1].success, answers[1].policy_version) == (True, 8)
    assert graph.observe(START + DT).policy_version == 8
    assert graph.wait_for_chunks(2)[1].policy_version == 8


def test_a_node_whose_checkpoint_cannot_be_loaded_exits_with_status_one(
    tmp_path: Path, specification: TaskSpecification
) -> None:
    graph = Graph(tmp_path / "nothing", specification)
    try:
        with pytest.raises(SystemExit) as stop:
            graph.until(lambda: False, "exit")
        assert stop.value.code == 1
        assert "nothing/manifest.json" in graph.node.status().message
    finally:
        graph.close()


def test_an_epoch_without_a_time_starts_with_the_next_observation(graph: Graph) -> None:
    graph.be_ready()
    graph.arbiter.publish(ArbiterState(mode=ArbiterState.MODE_POLICY, epoch=1, epoch_start=Time()))
    graph.until(lambda: graph.node._arbiter is not None, "arbiter known")
    graph.observe(START)
    assert graph.wait_for_chunks(1)[0].epoch == 1
