"""The probe that listens to a graph, against one that runs."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from geometry_msgs.msg import PoseStamped
from small_graph import SmallGraph, small_graph

from soft_flow_bringup.finding import Verdict
from soft_flow_bringup.robot_doctor.graph_judgements import judge_graph
from soft_flow_bringup.robot_doctor.graph_measurements import measure_graph
from soft_flow_contract import topics


@pytest.fixture
def graph() -> Iterator[SmallGraph]:
    with small_graph() as graph:
        yield graph


def test_what_a_graph_publishes_is_heard(graph: SmallGraph) -> None:
    commands = [graph.create_publisher(PoseStamped, topics.ARM_TARGET_POSE, topics.COMMAND) for _ in range(2)]
    measured = measure_graph(["external", "wrist_palm"], seconds=0.5)
    assert measured.problem == ""
    assert (measured.running, measured.simulated_time, measured.emergency_stopped) == (True, False, True)
    assert set(measured.topics) == {
        topics.ARM_JOINT_STATES,
        topics.HAND_JOINT_STATES,
        topics.camera_image("external"),
    }
    assert measured.cameras == ["external"]
    arm = measured.topics[topics.ARM_JOINT_STATES]
    assert arm.publishers == 1 and arm.messages > 1 and arm.ages is not None and arm.ages.p50 >= 0
    assert measured.drives("hand") and not measured.drives("arm")
    assert len(measured.command_publishers[topics.ARM_TARGET_POSE]) == len(commands)
    found = {finding.subject: finding for finding in judge_graph(measured, "0")}
    for subject, mentions in (
        (topics.ARM_TARGET_POSE, "2 publishers"),
        ("hand/driver_state", "the port is lost"),
        (topics.HAND_JOINT_STATES, "ahead of this computer's clock"),
    ):
        assert found[subject].verdict is Verdict.FAULT
        assert mentions in found[subject].detail
