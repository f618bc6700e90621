"""What can happen to a bus and its motors is a state with a reason, and nothing moves before recovery."""

from collections.abc import Callable

import numpy as np
import pytest
from bus_process import BusProcess
from hand_graph import HandGraph

from soft_flow_contract import topics
from soft_flow_msgs.msg import DriverState


def commanded(graph: HandGraph) -> np.ndarray:
    """A driver that is ready and has followed a command to stand."""
    start = graph.ready()
    accepted = graph.status()["accepted_commands"]
    graph.stream(start, lambda: graph.status()["accepted_commands"] > accepted, "a command")
    return start


def require_recovers(graph: HandGraph) -> None:
    """Recovery works, moves nothing, and afterwards the hand is commanded again."""
    where = graph.measured()
    graph.bus.mark()
    graph.until(lambda: graph.call(topics.HAND_RECOVER)[0], "recovery")
    graph.until_state(DriverState.READY)
    graph.spin_for(0.1)
    assert graph.bus.torque().all()
    assert np.abs(graph.bus.goal() - where).max() < 0.05
    joint = graph.bus.joint_names.index("index_pip")
    target = graph.measured()
    target[joint] += 0.3 if target[joint] < 0.8 else -0.3
    graph.stream(target, lambda: abs(graph.bus.goal()[joint] - target[joint]) < 0.02, "the finger moves")


def test_a_silent_bus_is_a_fault_and_no_old_state_is_published_as_new(
    bus: BusProcess, make_graph: Callable[..., HandGraph]
) -> None:
    graph = make_graph(bus)
    start = commanded(graph)
    bus.faults.silence()
    graph.stream(start, lambda: graph.state == DriverState.FAULT, "a fault")
    assert "bus silent since" in graph.reason
    graph.spin_for(0.1)
    graph.joints.clear()
    graph.spin_for(0.3)
    assert graph.joints == []
    graph.until(lambda: graph.status()["connection"] == "lost", "the loss")
    success, message = graph.call(topics.HAND_RECOVER)
    assert not success and message
    bus.faults.clear()
    graph.until(lambda: graph.status()["connection"] == "ok", "the connection")
    graph.joint_state()  # fresh ones are published again, but
    graph.spin_for(0.1)
    assert graph.state == DriverState.FAULT
    require_recovers(graph)


def test_an_unplugged_hand_is_a_fault_until_it_is_plugged_in_and_recovered(
    bus: BusProcess, make_graph: Callable[..., HandGraph]
) -> None:
    graph = make_graph(bus)
    start = commanded(graph)
    bus.faults.unplug()
    graph.stream(start, lambda: graph.state == DriverState.FAULT, "a fault")
    assert "is the hand plugged in" in graph.reason or "silent" in graph.reason
    graph.until(lambda: "cannot be opened" in graph.node.hand.problem, "an attempt to connect")
    bus.faults.replug()
    graph.until(lambda: graph.status()["connection"] == "ok", "the connection")
    graph.joint_state()
    assert graph.state == DriverState.FAULT
    assert graph.status()["lost_connections"] == "1"
    require_recovers(graph)


def test_noise_that_spoils_every_answer_is_a_fault(
    bus: BusProcess, make_graph: Callable[..., HandGraph]
) -> None:
    graph = make_graph(bus)
    commanded(graph)
    bus.faults.noise(0.05)
    graph.until_state(DriverState.FAULT)
    assert np.abs(bus.goal() - bus.driven().position[-1]).max() < 0.3
    bus.faults.clear()
    graph.until(lambda: graph.status()["connection"] == "ok", "the connection")
    require_recovers(graph)


def test_a_motor_that_does_not_answer_is_a_fault(
    bus: BusProcess, make_graph: Callable[..., HandGraph]
) -> None:
    graph = make_graph(bus)
    commanded(graph)
    bus.faults.drop("ring_mcp")
    graph.until_state(DriverState.FAULT)
    graph.until(lambda: "ring_mcp" in graph.node.hand.problem, "the motor's name")
    bus.faults.clear()
    graph.until(lambda: graph.status()["connection"] == "ok", "the connection")
    require_recovers(graph)


def test_an_overloaded_motor_is_a_fault_with_its_name_and_recovery_restarts_it(
    bus: BusProcess, make_graph: Callable[..., HandGraph]
) -> None:
    graph = make_graph(bus)
    start = commanded(graph)
    bus.faults.overload("index_pip")
    graph.stream(start, lambda: graph.state == DriverState.FAULT, "a fault")
    assert "index_pip reports overload" in graph.reason
    assert "index_pip: overload" in graph.status()["motor_faults"]
    assert not bus.torque()[bus.joint_names.index("index_pip")]
    require_recovers(graph)
    assert graph.status()["motor_faults"] == ""


def test_a_hot_motor_is_a_fault_until_it_is_cool(
    bus: BusProcess, make_graph: Callable[..., HandGraph]
) -> None:
    graph = make_graph(bus, temperature_period=0.1)
    start = commanded(graph)
    bus.faults.heat("middle_mcp", 67)
    graph.stream(start, lambda: graph.state == DriverState.FAULT, "a fault")
    assert "middle_mcp has 67 degrees" in graph.reason
    success, message = graph.call(topics.HAND_RECOVER)
    assert not success and "let it cool" in message
    bus.faults.heat("middle_mcp", 50)
    require_recovers(graph)


def test_a_hand_that_is_not_there_ends_the_start_with_one_error(
    bus: BusProcess, make_graph: Callable[..., HandGraph]
) -> None:
    graph = make_graph(bus, hand={"port": "/dev/no-hand"}, connect_timeout=0.5)
    with pytest.raises(SystemExit) as end:
        graph.spin_for(20.0)
    assert end.value.code == 1
    assert "/dev/no-hand: cannot be opened" in graph.node.hand.problem


def test_a_port_that_another_driver_holds_is_refused(
    bus: BusProcess, make_graph: Callable[..., HandGraph]
) -> None:
    first = make_graph(bus)
    first.ready()
    second = make_graph(bus, connect_timeout=0.5)
    with pytest.raises(SystemExit):
        second.spin_for(20.0)
    assert "another program holds it" in second.node.hand.problem
    assert first.node.hand.connected
