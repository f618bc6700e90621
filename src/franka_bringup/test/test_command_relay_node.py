"""The relay between an arbiter and a controller that follows everything, both played by the test."""

from collections.abc import Iterator

import numpy as np
import pytest
from controller_graph import ControllerGraph
from diagnostic_msgs.msg import DiagnosticStatus

from soft_flow_contract import message_conversion as convert
from soft_flow_contract import topics
from soft_flow_contract.pose import Pose
from soft_flow_franka_bringup.command_relay_node import CONTROLLER_TARGET_POSE
from soft_flow_msgs.msg import DriverState


@pytest.fixture
def graph() -> Iterator[ControllerGraph]:
    graph = ControllerGraph()
    yield graph
    graph.close()


def beside(pose: Pose, y: float) -> Pose:
    return pose.moved(np.array([0.0, y, 0.0]), np.zeros(3))


def told_nothing_more(graph: ControllerGraph) -> bool:
    count = len(graph.controller.poses)
    graph.states_later()
    return len(graph.controller.poses) == count


def test_it_serves_the_topics_of_an_arms_driver(graph: ControllerGraph) -> None:
    graph.until_state(DriverState.STOPPED)
    assert "not heard" in graph.reason
    graph.until(lambda: bool(graph.joints and graph.poses), "states")
    assert graph.joints[-1].name == list(graph.controller.cell.arm.joint_names)
    np.testing.assert_allclose(graph.joints[-1].position, graph.controller.position)
    pose = convert.to_pose(graph.poses[-1].pose)
    np.testing.assert_allclose(pose.position, graph.controller.flange.position, atol=1e-9)
    assert graph.poses[-1].header.frame_id == "base"
    assert graph.controller.poses == []


def test_the_arm_goes_where_the_arbiter_says(graph: ControllerGraph) -> None:
    start = graph.ready()
    np.testing.assert_allclose(graph.controller.poses[0].position, start.position, atol=1e-9)
    graph.drive_to(beside(start, 0.05))
    steps = np.diff([pose.position[1] for pose in graph.controller.poses])
    assert np.abs(steps).max() < 0.02
    names = graph.controller.cell.arm.joint_names
    np.testing.assert_allclose(
        convert.joint_values(graph.controller.postures[0], names), graph.controller.cell.arm.home
    )
    assert graph.node.status().level == DiagnosticStatus.OK


def test_targets_that_are_no_numbers_or_of_another_frame_never_reach_the_controller(
    graph: ControllerGraph,
) -> None:
    start = graph.ready()
    bad = Pose(np.array([np.nan, 0.0, 0.5]), start.quaternion)
    refused = graph.node._arm.report().refused
    graph.command(bad)
    graph.until(lambda: graph.node._arm.report().refused == refused + 1, "a refusal of NaN")
    assert "finite" in graph.node._arm.report().last_refusal
    graph.command(beside(start, 0.01), frame="camera")
    graph.until(lambda: graph.node._arm.report().refused == refused + 2, "a refusal of the frame")
    graph.command(beside(start, 0.3))
    graph.until(lambda: graph.node._arm.report().refused == refused + 3, "a refusal of the jump")
    graph.states_later()
    assert all(np.isfinite(pose.position).all() for pose in graph.controller.poses)
    assert all(np.linalg.norm(p.position - start.position) < 1e-6 for p in graph.controller.poses)


def test_an_arbiter_that_falls_silent_leaves_the_arm_where_it_is(graph: ControllerGraph) -> None:
    start = graph.ready()
    graph.drive_to(beside(start, 0.03))
    graph.until_state(DriverState.FAULT)
    assert "no command" in graph.reason
    graph.states_later(2)
    np.testing.assert_allclose(
        graph.controller.poses[-1].position, graph.controller.flange.position, atol=1e-3
    )
    assert told_nothing_more(graph)
    graph.command(beside(graph.controller.flange, 0.01))
    assert told_nothing_more(graph)
    assert graph.recover().success
    graph.until_state(DriverState.READY)
    graph.drive_to(beside(graph.controller.flange, 0.02))


def test_the_emergency_stop_reaches_the_controller_as_a_pose_to_stay_at(graph: ControllerGraph) -> None:
    start = graph.ready()
    graph.controller.follows = False
    graph.command(beside(start, 0.05))
    graph.until(lambda: graph.controller.poses[-1].position[1] > start.position[1] + 0.01, "a target ahead")
    graph.press(True)
    graph.until_state(DriverState.STOPPED)
    graph.states_later(2)
    np.testing.assert_allclose(graph.controller.poses[-1].position, start.position, atol=1e-9)
    assert told_nothing_more(graph)


@pytest.mark.parametrize("topic", [topics.ARM_TARGET_POSE, CONTROLLER_TARGET_POSE])
def test_a_second_publisher_is_a_fault_that_names_it_until_it_is_gone(
    graph: ControllerGraph, topic: str
) -> None:
    graph.ready()
    intruder, _ = graph.another_publisher(topic)
    graph.until_state(DriverState.FAULT)
    assert "intruder" in graph.reason
    answer = graph.recover()
    assert not answer.success
    assert "intruder" in answer.message
    intruder.destroy_node()
    graph.until(lambda: graph.recover().success, "recovery without the intruder")
    graph.until_state(DriverState.READY)


def test_joint_states_that_end_are_a_fault_and_can_be_recovered_from_when_they_come_back(
    graph: ControllerGraph,
) -> None:
    graph.ready()
    graph.controller.alive = False
    graph.until_state(DriverState.FAULT)
    assert "joint states" in graph.reason
    assert graph.node.status().level == DiagnosticStatus.ERROR
    assert not graph.recover().success
    graph.controller.alive = True
    graph.until(lambda: graph.recover().success, "recovery")


def test_a_controller_that_is_unloaded_is_a_fault(graph: ControllerGraph) -> None:
    graph.ready()
    graph.controller.node.destroy_subscription(graph.controller.target_pose)
    graph.until_state(DriverState.FAULT)
    assert "no controller listens" in graph.reason


def test_joint_states_of_another_arm_are_told_by_name_and_nothing_is_sent(graph: ControllerGraph) -> None:
    graph.controller.alive = False
    wrong = tuple(f"panda_joint{number}" for number in range(1, 8))

    def is_told() -> bool:
        graph.controller.publish(wrong, np.zeros(7))
        return "fr3_joint1" in graph.reason

    graph.until(is_told, "the names that are missing")
    assert graph.states[-1].state == DriverState.INACTIVE
    assert graph.controller.poses == []
