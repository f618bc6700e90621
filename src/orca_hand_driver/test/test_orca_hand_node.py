"""The driver on a simulated servo bus: states out, commands in, and what never reaches the motors."""

import math
from collections.abc import Callable

import numpy as np
import pytest
import rclpy
from bus_process import BusProcess
from hand_graph import HandGraph
from sensor_msgs.msg import JointState

from soft_flow_contract import message_conversion as convert
from soft_flow_contract import topics
from soft_flow_msgs.msg import DriverState

QUANTUM = 2 * math.pi / 4096 / 0.3  # rad of the least geared joint for one pulse of its motor
INDEX = ("index_mcp", "index_pip")


def bent(graph: HandGraph, start: np.ndarray, change: float) -> np.ndarray:
    """The start with the index finger bent by so much, towards the middle of its range."""
    target = start.copy()
    for name in INDEX:
        joint = graph.bus.joint_names.index(name)
        target[joint] += math.copysign(change, graph.bus.gearing.ranges[joint].mean() - start[joint])
    return target


def require_sane(bus: BusProcess) -> None:
    """What the motors pulled to since the mark was in range, and came step by step."""
    driven = bus.driven()
    low, high = bus.gearing.ranges.T
    assert (driven.goal >= low - 2 * QUANTUM).all() and (driven.goal <= high + 2 * QUANTUM).all()
    steps = np.abs(np.diff(driven.goal, axis=0))[
        driven.torque[:-1].all(axis=1) & driven.torque[1:].all(axis=1)
    ]
    assert (steps <= 8.0 * 0.05 + 2 * QUANTUM).all()  # 0.05 s: the longest step of the reference


def test_it_publishes_the_joints_of_orca_core_by_name_freshly_stamped(
    bus: BusProcess, make_graph: Callable[..., HandGraph]
) -> None:
    graph = make_graph(bus)
    begun = graph.peer.get_clock().now().nanoseconds
    graph.until(lambda: len(graph.joints) >= 20, "joint states")
    for message in graph.joints:
        assert tuple(message.name) == bus.joint_names
        assert len(message.position) == len(message.velocity) == len(message.effort) == 17
    stamps = [convert.to_nanoseconds(message.header.stamp) for message in graph.joints]
    assert sorted(set(stamps)) == stamps
    assert begun < stamps[0] and stamps[-1] < graph.peer.get_clock().now().nanoseconds
    np.testing.assert_allclose(graph.measured(), bus.driven().position[-1], atol=0.02)
    assert graph.state == DriverState.STOPPED and "not heard" in graph.reason


def test_activation_moves_nothing(bus: BusProcess, make_graph: Callable[..., HandGraph]) -> None:
    graph = make_graph(bus)
    start = graph.ready()
    assert bus.torque().all()
    np.testing.assert_allclose(bus.goal(), start, atol=2 * QUANTUM)
    graph.until(lambda: bus.still_for(0.3), "the hand stands")
    np.testing.assert_allclose(graph.measured(), start, atol=2 * QUANTUM)


def test_it_follows_commands(bus: BusProcess, make_graph: Callable[..., HandGraph]) -> None:
    graph = make_graph(bus)
    start = graph.ready()
    target = bent(graph, start, 0.6)
    graph.stream(target, lambda: np.abs(bus.goal() - target).max() < 2 * QUANTUM, "goals at the target")
    graph.stream(target, lambda: np.abs(graph.measured() - target).max() < 0.02, "the hand at the target")
    assert graph.state == DriverState.READY
    require_sane(bus)
    values = graph.status()
    assert int(values["accepted_commands"]) > 2 and values["refused_commands"] == "0"
    assert float(values["rate_hz"]) > 0 and "index_mcp=34" in values["temperatures"]


def test_names_may_come_in_another_order(bus: BusProcess, make_graph: Callable[..., HandGraph]) -> None:
    graph = make_graph(bus)
    start = graph.ready()
    target = bent(graph, start, 0.3)
    names = tuple(reversed(bus.joint_names))
    graph.command(target[::-1], names)
    graph.until(lambda: np.abs(bus.goal() - target).max() < 2 * QUANTUM, "goals at the target")


@pytest.mark.parametrize(
    ("what", "refusal"),
    [
        ("nan", "index_mcp is not finite"),
        ("infinite", "index_mcp is not finite"),
        ("degrees", "are these radians"),
        ("jump", "from its last target"),
        ("unknown", "no joint 'little_toe'"),
    ],
)
def test_what_must_not_be_followed_never_reaches_the_motors(
    bus: BusProcess, make_graph: Callable[..., HandGraph], what: str, refusal: str
) -> None:
    graph = make_graph(bus, hand={"max_jump": 0.5})
    start = graph.ready()
    graph.until(lambda: bus.still_for(0.2), "the hand stands")
    goal = bus.goal()
    joint = bus.joint_names.index("index_mcp")
    wrong = start.copy()
    wrong[joint] = {"nan": math.nan, "infinite": math.inf, "degrees": 60.0}.get(what, start[joint])
    names = bus.joint_names
    if what == "jump":
        wrong = bent(graph, start, 0.6)
    if what == "unknown":
        names = (*bus.joint_names[:-1], "little_toe")
    for count in range(1, 6):
        graph.command(wrong, names)
        graph.until(lambda count=count: graph.status()["refused_commands"] == str(count), "a refusal")
    assert refusal in graph.status()["last_refusal"]
    assert graph.state == DriverState.READY  # nothing was followed yet, so nothing is missed
    np.testing.assert_array_equal(bus.goal(), goal)
    require_sane(bus)


def test_without_commands_the_motion_ends_and_only_recovery_begins_another(
    bus: BusProcess, make_graph: Callable[..., HandGraph]
) -> None:
    graph = make_graph(bus, hand={"max_speed": 1.0})
    start = graph.ready()
    target = bent(graph, start, 0.8)
    graph.command(target)
    graph.until_state(DriverState.FAULT, "no command for")
    graph.until(lambda: bus.still_for(0.1), "the motors are told nothing new")
    held = bus.goal()
    assert np.abs(held - start).max() > 0.01 and np.abs(held - target).max() > 0.1
    for _ in range(5):
        graph.command(target)
        graph.spin_for(0.02)
    np.testing.assert_array_equal(bus.goal(), held)
    assert graph.call(topics.HAND_RECOVER) == (True, "")
    graph.until_state(DriverState.READY)
    graph.spin_for(0.1)
    assert np.abs(bus.goal() - held).max() < 0.05  # where the hand hangs in its servos
    graph.stream(target, lambda: np.abs(bus.goal() - target).max() < 2 * QUANTUM, "goals at the target")


def test_without_its_watchdog_it_would_go_on(bus: BusProcess, make_graph: Callable[..., HandGraph]) -> None:
    graph = make_graph(bus, hand={"max_speed": 1.0}, command_watchdog=False)
    start = graph.ready()
    target = bent(graph, start, 0.8)
    graph.command(target)
    graph.until(lambda: np.abs(bus.goal() - target).max() < 2 * QUANTUM, "goals at the target")
    assert graph.state == DriverState.READY


def test_an_emergency_stop_holds_at_once_and_begins_again_where_the_hand_is(
    bus: BusProcess, make_graph: Callable[..., HandGraph]
) -> None:
    graph = make_graph(bus, hand={"max_speed": 1.0})
    start = graph.ready()
    target = bent(graph, start, 0.8)
    graph.stream(target, lambda: np.abs(bus.goal() - start).max() > 0.1, "motion")
    graph.press(True)
    graph.until_state(DriverState.STOPPED, "emergency stop")
    graph.until(lambda: bus.still_for(0.1), "the motors are told nothing new")
    held = bus.goal()
    assert np.abs(held - target).max() > 0.2
    for _ in range(5):
        graph.command(target)
        graph.spin_for(0.02)
    np.testing.assert_array_equal(bus.goal(), held)
    graph.press(False)
    graph.until_state(DriverState.READY)
    graph.stream(target, lambda: np.abs(bus.goal() - target).max() < 2 * QUANTUM, "goals at the target")
    require_sane(bus)  # with a step back, from the reference to where the hand was


def test_after_a_restart_it_stops_until_it_has_heard(
    bus: BusProcess, make_graph: Callable[..., HandGraph]
) -> None:
    first = make_graph(bus)
    first.ready()
    first.close()
    second = make_graph(bus)
    second.until_state(DriverState.STOPPED, "not heard")
    second.press(True)
    second.until_state(DriverState.STOPPED, "emergency stop")


def test_a_second_publisher_is_a_fault_that_names_both(
    bus: BusProcess, make_graph: Callable[..., HandGraph]
) -> None:
    graph = make_graph(bus)
    start = graph.ready()
    graph.command(start)
    rogue = rclpy.create_node("rogue", context=graph.context)
    others = rogue.create_publisher(JointState, topics.HAND_TARGET_JOINT, topics.COMMAND)
    graph.stream(start, lambda: graph.state == DriverState.FAULT, "a fault")
    assert "2 publishers" in graph.reason and "/peer, /rogue" in graph.reason
    goal = bus.goal()
    others.publish(convert.to_joint_state(bus.joint_names, bent(graph, start, 0.5), 0))
    graph.spin_for(0.1)
    np.testing.assert_array_equal(bus.goal(), goal)
    success, message = graph.call(topics.HAND_RECOVER)
    assert not success and "rogue" in message
    rogue.destroy_node()
    graph.until(lambda: graph.call(topics.HAND_RECOVER)[0], "recovery")
    graph.until_state(DriverState.READY)
