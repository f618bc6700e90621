"""A controller that is dead, away, busy, or of another kind."""

import ctypes
import os
import socket
import struct
import threading
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from arm_process import ArmProcess, free_address
from bridge_graph import BridgeGraph, along_y, write_cell
from rclpy.lifecycle import TransitionCallbackReturn

from soft_flow_contract.robot_cell import RobotCell
from soft_flow_franka_bringup.arm_connection import ArmConnection, ArmIncompatible, ArmUnreachable
from soft_flow_franka_bringup.controller_call import ControllerCall
from soft_flow_msgs.msg import DriverState

MakeGraph = Callable[..., BridgeGraph]
FCI_PORT = 1337


def cell_at(folder: Path, address: str, **arm: object) -> RobotCell:
    return RobotCell.load(write_cell(folder, address, **arm))


def test_a_controller_that_stands_still_is_a_fault_and_nothing_stale_is_published(
    make_graph: MakeGraph, own_server: ArmProcess
) -> None:
    graph = make_graph(own_server.address)
    start = graph.ready()
    graph.drive(along_y(start, 0.05), 0.2)
    own_server.pause()
    graph.until_state(DriverState.FAULT)
    count = len(graph.joints)
    for _ in range(100):
        graph.spin()
    assert len(graph.joints) <= count + 2  # what was on its way
    own_server.resume()
    graph.until(lambda: len(graph.joints) > count + 20, "states again")
    assert graph.state == DriverState.FAULT
    graph.until(lambda: graph.recover().success, "recovery")
    graph.until_state(DriverState.READY)
    graph.drive(along_y(graph.pose(), 0.05), 0.2)
    assert graph.state == DriverState.READY


def test_a_controller_that_died_is_connected_again_and_recovered_on_request(
    make_graph: MakeGraph, own_server: ArmProcess
) -> None:
    graph = make_graph(own_server.address)
    graph.ready()
    own_server.kill()
    graph.until_state(DriverState.FAULT)
    graph.until(lambda: not graph.node.arm.connected, "the loss of the connection")
    assert not graph.recover().success
    own_server.restart()
    graph.until(lambda: graph.node.arm.connected, "a new connection")
    assert graph.state == DriverState.FAULT
    assert graph.recover().success
    graph.until_state(DriverState.READY)
    start = graph.pose()
    graph.drive(along_y(start, 0.1), 0.3)
    assert graph.state == DriverState.READY and graph.node.arm.losses == 1


def test_a_second_client_waits_in_line_says_so_and_takes_over_when_the_first_is_gone(
    own_server: ArmProcess, tmp_path: Path
) -> None:
    arm = cell_at(tmp_path, own_server.address).arm
    first = ArmConnection.open(arm)
    call = ControllerCall(arm)
    with pytest.raises(ArmUnreachable, match="Another client may hold it"):
        for _ in range(100):
            assert call.poll(0.1) is None
    first.close()
    connection = None
    for _ in range(100):
        if connection is None:
            connection = _poll_in_line(call)
    assert connection is not None
    connection.close()


def _poll_in_line(call: ControllerCall) -> ArmConnection | None:
    try:
        return call.poll(0.1)
    except ArmUnreachable:
        return None


def test_connecting_and_driving_leave_the_calling_thread_without_real_time(
    server: ArmProcess, tmp_path: Path
) -> None:
    connection = ArmConnection.open(cell_at(tmp_path, server.address).arm)
    connection.start()
    policies = os.sched_getscheduler(0), _policy_known_to_the_c_library()
    connection.stop()
    connection.close()
    assert policies == (os.SCHED_OTHER, os.SCHED_OTHER)


def _policy_known_to_the_c_library() -> int:
    policy, priority = ctypes.c_int(), ctypes.c_int()
    thread = ctypes.c_ulong(threading.get_ident())
    ctypes.CDLL(None).pthread_getschedparam(thread, ctypes.byref(policy), ctypes.byref(priority))
    return policy.value


@pytest.fixture
def panda_controller() -> Iterator[str]:
    """Answers as a controller of server version 5 does."""
    address = free_address()
    listener = socket.socket()
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    listener.bind((address, FCI_PORT))
    listener.listen()

    def answer() -> None:
        client, _ = listener.accept()
        command, identifier, _ = struct.unpack("<III", client.recv(16)[:12])
        client.sendall(struct.pack("<IIIBHxxxxx", command, identifier, 20, 1, 5))
        client.close()

    threading.Thread(target=answer, daemon=True).start()
    yield address
    listener.close()


def test_a_controller_of_another_version_is_one_error_that_says_what_to_install(
    panda_controller: str, tmp_path: Path
) -> None:
    with pytest.raises(ArmIncompatible, match=r"server version: 5.*wheels.*README"):
        ArmConnection.open(cell_at(tmp_path, panda_controller).arm)


def test_nobody_at_the_address_is_one_error_that_names_it(tmp_path: Path) -> None:
    address = free_address()
    with pytest.raises(ArmUnreachable, match=rf"{address}.*FCI"):
        ArmConnection.open(cell_at(tmp_path, address).arm)


def test_without_a_connection_activation_fails(make_graph: MakeGraph) -> None:
    graph = make_graph(free_address(), autostart=False)
    assert graph.node.trigger_configure() == TransitionCallbackReturn.SUCCESS
    assert graph.node.trigger_activate() == TransitionCallbackReturn.FAILURE
    graph.until(lambda: "FCI" in graph.reason, "the reason")
    assert graph.state == DriverState.INACTIVE
