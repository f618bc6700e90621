"""Weights from a learner to the policy node, over its topics."""

import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from critic_maker import mean_action_critic
from diagnostic_msgs.msg import DiagnosticStatus
from policy_graph import DT, START, Graph

from soft_flow_contract import topics
from soft_flow_contract.task_specification import TaskSpecification
from soft_flow_msgs.srv import LoadCheckpoint
from soft_flow_policy.checkpoint import save_checkpoint
from soft_flow_policy.policy import FlowPolicy
from soft_flow_policy.weights import record_weights


@pytest.fixture(scope="module")
def checkpoint(tmp_path_factory: pytest.TempPathFactory, policy: FlowPolicy) -> Path:
    folder = tmp_path_factory.mktemp("policy") / "checkpoint"
    return save_checkpoint(folder, policy, version=7, step=1, stage="imitation", extra={"run_id": "run"})


@pytest.fixture(scope="module")
def other(policy: FlowPolicy, make_policy: Callable) -> FlowPolicy:
    return make_policy(policy.specification, seed=1)


@pytest.fixture
def graph(checkpoint: Path, specification: TaskSpecification) -> Iterator[Graph]:
    graph = Graph(checkpoint, specification, accept_weights=True)
    yield graph
    graph.close()


def wait_until_prepared(graph: Graph) -> None:
    graph.until(lambda: graph.node._intake._prepared is not None, "weights prepared")


def wait_until_refused(graph: Graph, count: int) -> str:
    graph.until(lambda: graph.diagnostic("weights_refused") == str(count), f"{count} refusals")
    return graph.diagnostic("weights_last_refusal")


def test_weights_are_taken_over_between_chunks_and_never_within_one(graph: Graph, other: FlowPolicy) -> None:
    graph.be_ready()
    graph.enter_epoch(1, START)
    graph.observe(START)
    graph.publish_weights(record_weights(other, "run", 8, 7, time.time_ns()))
    wait_until_prepared(graph)
    heartbeats = [graph.observe(START + tick * DT).policy_version for tick in range(1, 17)]
    chunks = graph.wait_for_chunks(3)
    # Ready since the chunk's first step, in use when its eight steps have passed.
    assert heartbeats == [7] * 7 + [8] * 9
    assert [(chunk.chunk_id, chunk.policy_version) for chunk in chunks] == [(1, 7), (2, 8), (3, 8)]
    assert graph.diagnostic("policy_version") == "8" and graph.diagnostic("run_id") == "run"
    assert graph.diagnostic("weights_used") == "1"
    assert float(graph.diagnostic("weights_publication_to_use_ms")) > 0


def test_a_chunk_of_taken_over_weights_is_that_of_a_checkpoint_of_them(
    graph: Graph, other: FlowPolicy, tmp_path: Path
) -> None:
    folder = save_checkpoint(tmp_path / "fresh", other, version=8, step=1, stage="online_rl")
    fresh = Graph(folder, graph.task)
    try:
        graph.be_ready()
        graph.publish_weights(record_weights(other, "run", 8, 7, time.time_ns()))
        wait_until_prepared(graph)
        for either in (graph, fresh):
            either.be_ready()
            either.enter_epoch(1, START)
            either.observe(START)
        actual, expected = graph.wait_for_chunks(1)[0], fresh.wait_for_chunks(1)[0]
    finally:
        fresh.close()
    assert actual.policy_version == expected.policy_version == 8
    assert actual.actions == expected.actions and actual.log_prob == expected.log_prob


def test_the_state_is_told_when_weights_are_ready_before_any_chunk_is_planned_with_them(
    graph: Graph, other: FlowPolicy
) -> None:
    graph.be_ready()
    graph.until(lambda: bool(graph.states) and graph.states[-1].will_fly("run", 7), "state of the checkpoint")
    graph.publish_weights(record_weights(other, "run", 8, 7, time.time_ns()))
    graph.until(lambda: graph.states[-1].will_fly("run", 8), "weights told of")
    assert graph.states[-1].version == 7 and not graph.chunks
    graph.enter_epoch(1, START)
    graph.observe(START)
    assert graph.wait_for_chunks(1)[0].policy_version == 8
    graph.until(lambda: graph.states[-1].version == 8, "use told of")


def test_refused_weights_change_nothing_and_are_told_of(graph: Graph, other: FlowPolicy) -> None:
    graph.be_ready()
    graph.enter_epoch(1, START)
    graph.observe(START)
    good = record_weights(other, "run", 8, 7, time.time_ns())
    bad = {
        "not newer than version 7": replace(good, version=7),
        "specification": replace(good, specification_hash="0" * 64),
        "SHA-256": replace(good, data=good.data[:-1]),
    }
    for count, (reason, record) in enumerate(bad.items(), start=1):
        graph.publish_weights(record)
        assert reason in wait_until_refused(graph, count)
    assert [graph.observe(START + tick * DT).policy_version for tick in range(1, 9)] == [7] * 8
    assert [chunk.policy_version for chunk in graph.wait_for_chunks(2)] == [7, 7]
    assert graph.node.status().level == DiagnosticStatus.OK
    graph.publish_weights(good)
    wait_until_prepared(graph)
    graph.observe(START + 16 * DT)
    assert graph.wait_for_chunks(3)[2].policy_version == 8


def test_a_node_that_starts_late_gets_the_last_weights(
    checkpoint: Path, specification: TaskSpecification, other: FlowPolicy
) -> None:
    learner = Graph(checkpoint, specification)  # its node does not listen, its peer publishes
    learner.publish_weights(record_weights(other, "run", 9, 8, time.time_ns()))
    late = Graph(checkpoint, specification, accept_weights=True)
    try:
        wait_until_prepared(late)
    finally:
        late.close()
        learner.close()


def test_without_accept_weights_nothing_listens(checkpoint: Path, specification: TaskSpecification) -> None:
    graph = Graph(checkpoint, specification)
    try:
        graph.be_ready()
        assert graph.weights.get_subscription_count() == 0
        assert "weights_used" not in {pair.key for pair in graph.node.status().values}
    finally:
        graph.close()


def test_a_loaded_checkpoint_has_its_own_version_and_waiting_weights_are_forgotten(
    graph: Graph, policy: FlowPolicy, other: FlowPolicy, tmp_path: Path
) -> None:
    graph.be_ready()
    graph.publish_weights(record_weights(other, "run", 12, 7, time.time_ns()))
    wait_until_prepared(graph)
    path = save_checkpoint(tmp_path / "c", policy, version=3, step=1, stage="imitation")
    client = graph.peer.create_client(LoadCheckpoint, topics.LOAD_CHECKPOINT)
    future = client.call_async(LoadCheckpoint.Request(path=str(path)))
    graph.until(future.done, "answer of load_checkpoint")
    graph.enter_epoch(1, START)
    graph.observe(START)
    assert graph.wait_for_chunks(1)[0].policy_version == 3


def test_the_best_of_several_candidates_comes_with_its_value(
    policy: FlowPolicy, specification: TaskSpecification, tmp_path: Path
) -> None:
    critic = mean_action_critic(specification)
    path = save_checkpoint(tmp_path / "c", policy, version=1, step=1, stage="offline_rl", critic=critic)
    graph = Graph(path, specification, candidates=4)
    try:
        graph.be_ready()
        graph.enter_epoch(1, START)
        graph.observe(START)
        chunk = graph.wait_for_chunks(1)[0]
    finally:
        graph.close()
    assert chunk.value == pytest.approx(np.mean(chunk.actions), abs=1e-5)


def test_several_candidates_without_a_critic_end_the_node_with_the_reason(
    checkpoint: Path, specification: TaskSpecification
) -> None:
    graph = Graph(checkpoint, specification, candidates=4)
    try:
        with pytest.raises(SystemExit) as stop:
            graph.until(lambda: False, "exit")
        assert stop.value.code == 1
        assert "has no 'critic.onnx' to choose among 4 candidates" in graph.node.status().message
    finally:
        graph.close()
