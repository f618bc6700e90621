"""The bridge as the process that a launch file starts."""

import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest
import rclpy
from arm_process import ArmProcess, free_address
from bridge_graph import write_cell
from rclpy.context import Context
from rclpy.executors import SingleThreadedExecutor
from sensor_msgs.msg import JointState

from soft_flow_contract import topics
from soft_flow_contract.robot_cell import RobotCell
from soft_flow_franka_bringup.arm_connection import ArmConnection

PATIENCE = 60.0  # s


def start_node(robot_file: Path, *parameters: str) -> "subprocess.Popen[str]":
    arguments = [f"robot_file:={robot_file}", *parameters]
    options = [word for argument in arguments for word in ("-p", argument)]
    command = [sys.executable, "-m", "soft_flow_franka_bringup.fci_bridge_node", "--ros-args", *options]
    return subprocess.Popen(command, stderr=subprocess.PIPE, text=True)


def run_node(robot_file: Path, *parameters: str) -> tuple[int, str]:
    process = start_node(robot_file, *parameters)
    _, errors = process.communicate(timeout=PATIENCE)
    return process.returncode, errors


@pytest.fixture
def states() -> Iterator[Callable[[], None]]:
    """Wait until an active bridge in this domain has published the arm's state."""
    context = Context()
    rclpy.init(context=context)
    peer = rclpy.create_node("peer", context=context)
    executor = SingleThreadedExecutor(context=context)
    executor.add_node(peer)
    received: list[JointState] = []
    peer.create_subscription(JointState, topics.ARM_JOINT_STATES, received.append, topics.sensor(False))

    def wait() -> None:
        end = time.monotonic() + PATIENCE
        while not received:
            assert time.monotonic() < end, "no state of the arm came"
            executor.spin_once(timeout_sec=0.1)

    yield wait
    executor.shutdown()
    peer.destroy_node()
    rclpy.shutdown(context=context)


def test_it_gives_up_on_an_arm_that_never_answers(tmp_path: Path) -> None:
    status, errors = run_node(write_cell(tmp_path, free_address()), "connect_timeout:=0.5")
    assert status == 1 and "gives up" in errors and "FCI" in errors


def test_a_broken_cell_ends_it_with_one_error(tmp_path: Path) -> None:
    status, errors = run_node(write_cell(tmp_path, "127.0.0.1", max_sped=1.0))
    assert status == 1 and "did you mean 'max_speed'?" in errors
    assert errors.count("max_sped") == 1


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT], ids=["SIGTERM", "SIGINT"])
def test_when_it_is_ended_the_arm_is_at_rest_and_free_for_the_next_client(
    server: ArmProcess, states: Callable[[], None], tmp_path: Path, number: signal.Signals
) -> None:
    cell_file = write_cell(tmp_path, server.address)
    process = start_node(cell_file)
    states()
    process.send_signal(number)
    process.communicate(timeout=PATIENCE)
    connection = ArmConnection.open(RobotCell.load(cell_file).arm)
    state = connection.read()
    connection.close()
    assert state.mode == "Idle"
    assert np.abs(state.velocity[:6]).max() < 0.05  # franky_sim's own hold shakes the last joint a little
