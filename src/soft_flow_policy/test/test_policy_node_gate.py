"""The policy node with its likelihood gate on: what the arbiter gets to hear when it fires."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from diagnostic_msgs.msg import DiagnosticStatus
from policy_graph import DT, START, Graph

from soft_flow_contract.message_conversion import to_time
from soft_flow_contract.task_specification import TaskSpecification
from soft_flow_policy.checkpoint import save_checkpoint
from soft_flow_policy.gate_calibration import GateCalibration, to_manifest
from soft_flow_policy.policy import FlowPolicy

EXECUTED = 8


def save(path: Path, policy: FlowPolicy, signal: float) -> Path:
    """A checkpoint on whose held-out observations the signal was always this."""
    calibration = GateCalibration(executed=EXECUTED, denoise=True, signals={"0.5": (signal,)})
    extra = to_manifest(calibration)
    return save_checkpoint(path, policy, version=1, step=1, stage="imitation", extra=extra)


@pytest.fixture
def graph(tmp_path: Path, policy: FlowPolicy, specification: TaskSpecification) -> Iterator[Graph]:
    """A node whose every plan exceeds the threshold; the second in a row fires."""
    checkpoint = save(tmp_path / "strict", policy, -1e6)
    graph = Graph(checkpoint, specification, temperature=0.5, gate=True, gate_plans=2)
    yield graph
    graph.close()


def test_when_the_gate_fires_no_chunk_is_sent_and_every_heartbeat_is_unhealthy(graph: Graph) -> None:
    graph.be_ready()
    graph.enter_epoch(1, START)
    healthy = [graph.observe(START + tick * DT).healthy for tick in range(20)]
    assert healthy == [True] * 16 + [False] * 4
    graph.wait_for_chunks(2)
    assert [chunk.header.stamp for chunk in graph.chunks] == [to_time(START), to_time(START + EXECUTED * DT)]
    status = graph.node.status()
    assert status.level == DiagnosticStatus.ERROR
    assert "the likelihood gate fired: 2 plans in a row" in status.message
    assert float(graph.diagnostic("gate_signal")) > float(graph.diagnostic("gate_threshold")) == -1e6


def test_a_new_epoch_lets_the_policy_act_again(graph: Graph) -> None:
    graph.be_ready()
    graph.enter_epoch(1, START)
    for tick in range(18):
        graph.observe(START + tick * DT)
    graph.enter_epoch(2, START + 18 * DT)
    assert graph.observe(START + 18 * DT).healthy
    assert graph.wait_for_chunks(3)[-1].epoch == 2
    assert graph.node.status().level == DiagnosticStatus.OK


def test_a_policy_within_its_threshold_flies_and_the_signal_is_reported(
    tmp_path: Path, policy: FlowPolicy, specification: TaskSpecification
) -> None:
    graph = Graph(save(tmp_path / "calm", policy, 1e6), specification, temperature=0.5, gate=True)
    try:
        graph.be_ready()
        graph.enter_epoch(1, START)
        assert all(graph.observe(START + tick * DT).healthy for tick in range(17))
        graph.wait_for_chunks(3)
        assert graph.diagnostic("gate_plans_above") == "0"
        assert -1e6 < float(graph.diagnostic("gate_signal")) < 1e6
    finally:
        graph.close()


def test_a_gate_without_a_calibration_for_the_temperature_keeps_the_node_from_starting(
    tmp_path: Path, policy: FlowPolicy, specification: TaskSpecification
) -> None:
    graph = Graph(save(tmp_path / "other", policy, 1.0), specification, temperature=0.9, gate=True)
    try:
        with pytest.raises(SystemExit):
            graph.until(lambda: False, "exit")
        assert "temperature 0.9 was not calibrated, only 0.5" in graph.node.status().message
    finally:
        graph.close()
