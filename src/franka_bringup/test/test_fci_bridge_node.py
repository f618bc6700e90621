"""The node in-process, on franky and a libfranka server with a simulated arm; a peer plays the arbiter."""

from collections.abc import Callable

import numpy as np
import pytest
from arm_process import ArmProcess
from bridge_graph import TICK, BridgeGraph, along_y
from diagnostic_msgs.msg import DiagnosticStatus
from geometry_msgs.msg import PoseStamped

from soft_flow_contract import message_conversion as convert
from soft_flow_contract import topics
from soft_flow_contract.pose import Pose
from soft_flow_msgs.msg import DriverState
from soft_flow_sim.inverse_kinematics import ArmInverseKinematics

MakeGraph = Callable[..., BridgeGraph]
SPEED = 0.15  # m/s


@pytest.fixture
def graph(make_graph: MakeGraph, server: ArmProcess) -> BridgeGraph:
    return make_graph(server.address)


def values(graph: BridgeGraph) -> dict[str, str]:
    return {pair.key: pair.value for pair in graph.node.status().values}


def speeds(graph: BridgeGraph) -> np.ndarray:
    return np.array([np.abs(joints.velocity).max() for joints in graph.joints])


def test_at_the_start_the_arm_does_not_move_and_waits_for_the_emergency_stops_state(
    graph: BridgeGraph,
) -> None:
    graph.until_state(DriverState.STOPPED)
    assert "not heard" in graph.reason
    graph.until_at_rest()  # the arm of the test sagged until its controller was told of the payload
    start = graph.pose()
    graph.joints.clear()
    graph.ready()
    graph.until(lambda: len(graph.joints) >= 60, "states")
    assert speeds(graph).max() < 0.01
    assert np.linalg.norm(graph.pose().position - start.position) < 5e-4


def test_states_have_the_cells_names_and_come_often(graph: BridgeGraph) -> None:
    graph.ready()
    graph.joints.clear()
    graph.until(lambda: len(graph.joints) >= 200, "states")
    assert graph.joints[0].name == [f"fr3_joint{number}" for number in range(1, 8)]
    assert all(len(j.position) == len(j.velocity) == len(j.effort) == 7 for j in graph.joints)
    stamps = np.array([j.header.stamp.sec + 1e-9 * j.header.stamp.nanosec for j in graph.joints])
    assert np.median(np.diff(stamps)) < 0.01  # at least 100 Hz, though this machine may be busy


def test_the_flange_pose_is_the_forward_kinematics_of_the_joints(graph: BridgeGraph) -> None:
    graph.ready()
    graph.until_at_rest()
    pose = graph.pose()
    position, rotation = ArmInverseKinematics(np.zeros(7)).flange_pose(np.array(graph.joints[-1].position))
    np.testing.assert_allclose(pose.position, position, atol=1e-3)
    np.testing.assert_allclose(pose.matrix, rotation, atol=2e-3)


def test_a_tool_that_is_configured_in_desk_changes_nothing_about_the_flange(
    make_graph: MakeGraph,
) -> None:
    server = ArmProcess("", "--tool")
    try:
        graph = make_graph(server.address, time_scale=5.0)
        start = graph.ready()
        graph.until_at_rest()
        position, rotation = ArmInverseKinematics(np.zeros(7)).flange_pose(
            np.array(graph.joints[-1].position)
        )
        np.testing.assert_allclose(graph.pose().position, position, atol=1e-3)
        np.testing.assert_allclose(graph.pose().matrix, rotation, atol=2e-3)
        turn = np.array([0.0, 0.0, 0.2])  # about the flange's origin, which stays
        graph.drive(lambda t: start.moved(np.zeros(3), min(1.0, t / 0.3) * turn), 0.6)
        assert np.linalg.norm(graph.pose().position - start.position) < 3e-3
    finally:
        server.kill()


def test_it_follows_a_path_within_millimetres_and_ends_on_it(
    make_graph: MakeGraph, server: ArmProcess
) -> None:
    graph = make_graph(server.address, time_scale=5.0)  # nothing is said here about the machine's pauses
    start = graph.ready()

    def path(t: float) -> Pose:
        offset = 0.06 * np.array([0.0, np.sin(2 * t), 0.5 * (1 - np.cos(2 * t))])
        return start.moved(offset, np.array([0.0, 0.0, 0.2 * np.sin(2 * t)]))

    graph.poses.clear()
    last = graph.drive(path, 2.0)[-1][1]
    graph.until(lambda: np.linalg.norm(graph.pose().position - last.position) < 2e-3, "the end of the path")
    curve = np.array([path(t).position for t in np.arange(0.0, 2.001, 0.005)])
    measured = np.array([convert.to_pose(message.pose).position for message in graph.poses])
    away = np.linalg.norm(measured[:, None] - curve[None], axis=2).min(axis=1)
    assert away.max() < 4e-3  # m
    assert np.ptp(measured[:, 1]) > 0.1  # it went there and back


@pytest.mark.parametrize(
    ("wrong", "why"),
    [
        (lambda p: Pose(np.full(3, np.nan), p.quaternion), "not finite"),
        (lambda p: p.moved(np.array([0.0, 0.2, 0.0]), np.zeros(3)), "from the reference"),
        (lambda p: p.moved(np.array([0.0, 0.0, 1.0]), np.zeros(3)), "outside the workspace"),
        (lambda p: Pose(p.position, np.zeros(4)), "length"),
    ],
    ids=["not finite", "too fast", "too far", "no rotation"],
)
def test_what_is_wrong_is_refused_counted_and_does_not_move_the_arm(
    graph: BridgeGraph, wrong: Callable[[Pose], Pose], why: str
) -> None:
    start = graph.ready()
    graph.command(wrong(start))
    graph.until(lambda: values(graph).get("refused_commands") == "1", "a refusal")
    assert why in values(graph)["last_refusal"]
    graph.until_at_rest()
    assert np.linalg.norm(graph.pose().position - start.position) < 5e-4
    assert graph.state == DriverState.READY  # the watchdog was not armed by it


def test_missing_commands_end_the_motion_until_recovery_is_asked_for(graph: BridgeGraph) -> None:
    start = graph.ready()
    graph.drive(along_y(start, -SPEED), 0.5)
    graph.until_state(DriverState.FAULT)
    assert "no command" in graph.reason
    graph.until_at_rest()
    stood = graph.pose()
    assert np.linalg.norm(stood.position - start.position) < 0.5 * SPEED + 0.01
    graph.command(stood.moved(np.array([0.0, 0.02, 0.0]), np.zeros(3)))
    graph.until(lambda: int(values(graph)["refused_commands"]) >= 1, "a refusal")
    assert graph.node.status().level == DiagnosticStatus.ERROR
    assert graph.recover().success
    graph.until_state(DriverState.READY)
    graph.until_at_rest()
    assert np.linalg.norm(graph.pose().position - stood.position) < 1e-3
    graph.drive(along_y(stood, SPEED), 0.3)
    assert graph.state == DriverState.READY


def test_without_the_watchdog_missing_commands_go_unnoticed(
    make_graph: MakeGraph, server: ArmProcess
) -> None:
    graph = make_graph(server.address, command_watchdog=False)
    start = graph.ready()
    graph.drive(along_y(start, 0.05), 0.2)
    graph.joints.clear()
    graph.until(lambda: len(graph.joints) >= 100, "half a second of states")
    assert graph.state == DriverState.READY


def test_an_emergency_stop_ends_the_motion_at_once_and_released_it_begins_where_the_arm_is(
    graph: BridgeGraph,
) -> None:
    start = graph.ready()
    graph.drive(along_y(start, -SPEED), 0.4)
    moved_before = graph.poses[-1].pose.position.y
    graph.press(True)
    graph.until_state(DriverState.STOPPED)
    graph.until_at_rest()
    stood = graph.pose()
    assert abs(stood.position[1] - moved_before) < 0.15 * SPEED + 0.005  # the way of some 100 ms
    graph.command(stood)
    graph.until(lambda: "emergency stop" in values(graph)["last_refusal"], "a refusal")
    graph.press(False)
    graph.until_state(DriverState.READY)
    graph.until_at_rest()
    assert np.linalg.norm(graph.pose().position - stood.position) < 1e-3
    graph.drive(along_y(stood, SPEED), 0.3)
    assert graph.state == DriverState.READY


def test_two_publishers_of_targets_are_a_fault_that_names_them(graph: BridgeGraph) -> None:
    start = graph.ready()
    second = graph.peer.create_publisher(PoseStamped, topics.ARM_TARGET_POSE, topics.COMMAND)
    graph.until_state(DriverState.FAULT)
    assert "2 publishers" in graph.reason and "peer" in graph.reason
    assert not graph.recover().success
    graph.peer.destroy_publisher(second)
    graph.until(lambda: graph.recover().success, "recovery with one publisher")
    graph.drive(along_y(start, 0.05), 2 * TICK)
    assert graph.state == DriverState.READY


def test_a_reflex_is_a_fault_in_words_and_recovery_moves_nothing(
    graph: BridgeGraph, server: ArmProcess
) -> None:
    start = graph.ready()
    server.reflex("cartesian_reflex")
    graph.until_state(DriverState.FAULT)
    assert "cartesian reflex (a collision" in graph.reason
    count = len(graph.joints)
    graph.until(lambda: len(graph.joints) > count + 20, "states after the reflex")  # still published
    assert graph.recover().success
    graph.until_state(DriverState.READY)
    graph.until_at_rest()
    assert np.linalg.norm(graph.pose().position - start.position) < 2e-3


def test_deactivated_it_lets_the_arm_go_and_activated_it_holds_it_again(graph: BridgeGraph) -> None:
    start = graph.ready()
    graph.node.trigger_deactivate()
    graph.until_state(DriverState.INACTIVE)
    graph.until(lambda: graph.node.arm.state.mode == "Idle", "the arm let go")
    graph.node.trigger_activate()
    graph.until_state(DriverState.READY)
    graph.until(lambda: graph.node.arm.state.mode == "Move", "the arm held")
    assert np.linalg.norm(graph.pose().position - start.position) < 2e-3
