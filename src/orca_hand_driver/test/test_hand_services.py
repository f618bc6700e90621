"""Torque, neutral, restart, calibration, deactivation and the end."""

import os
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import yaml
from bus_process import BusProcess
from hand_graph import HandGraph, write_cell

from soft_flow_contract import topics
from soft_flow_msgs.msg import DriverState


def test_torque_goes_off_and_on_and_nothing_moves(
    bus: BusProcess, make_graph: Callable[..., HandGraph]
) -> None:
    graph = make_graph(bus)
    start = graph.ready()
    assert graph.call(topics.HAND_TORQUE, data=False) == (True, "")
    graph.until_state(DriverState.FAULT, "torque was switched off")
    assert not bus.torque().any()
    np.testing.assert_allclose(graph.measured(), start, atol=0.05)  # still published
    graph.command(start)
    graph.until(lambda: graph.status()["refused_commands"] == "1", "a refusal")
    assert graph.call(topics.HAND_TORQUE, data=True) == (True, "")
    graph.until_state(DriverState.READY)
    assert bus.torque().all()
    np.testing.assert_allclose(bus.goal(), start, atol=0.05)


def test_the_way_to_neutral_is_slow_and_refused_while_commands_arrive(
    bus: BusProcess, make_graph: Callable[..., HandGraph]
) -> None:
    graph = make_graph(bus, neutral_speed=2.0)
    start = graph.ready()
    graph.command(start)
    graph.until(lambda: graph.status()["accepted_commands"] == "1", "a command")
    success, message = graph.call(topics.HAND_NEUTRAL)
    assert not success and "commands arrive" in message
    bus.mark()
    graph.until(lambda: graph.call(topics.HAND_NEUTRAL)[0], "the way to neutral")
    np.testing.assert_allclose(bus.goal(), graph.node.model.neutral, atol=0.01)
    assert np.abs(np.diff(bus.driven().goal, axis=0)).max() < 2.0 * 0.05 + 0.01
    graph.until(lambda: np.abs(graph.measured() - graph.node.model.neutral).max() < 0.05, "neutral")


def test_a_restart_of_the_motors_takes_a_recovery(
    bus: BusProcess, make_graph: Callable[..., HandGraph]
) -> None:
    graph = make_graph(bus)
    graph.ready()
    bus.faults.overload("thumb_dip")
    graph.until_state(DriverState.FAULT, "thumb_dip reports overload")
    assert graph.call(topics.HAND_REBOOT) == (True, "")
    assert graph.state == DriverState.FAULT and graph.status()["motor_faults"] == ""
    assert graph.call(topics.HAND_RECOVER) == (True, "")
    graph.until_state(DriverState.READY)
    assert bus.torque().all()


def test_a_calibration_makes_a_hand_ready_that_was_not_calibrated(
    bus: BusProcess, make_graph: Callable[..., HandGraph], tmp_path: Path
) -> None:
    graph = make_graph(bus, without=("index_abd",), calibration_joints="index_abd")
    graph.until_state(DriverState.FAULT, "not calibrated")
    assert graph.joints == []
    success, message = graph.call(topics.HAND_RECOVER)
    assert not success and "hand/calibrate" in message
    assert not graph.calibrate().result().success  # the emergency stop was not heard yet
    graph.press(False)
    graph.until(lambda: not graph.node.follower.stop_pressed, "the emergency stop is heard")
    run = graph.calibrate()
    graph.until_state(DriverState.INACTIVE, "calibrating")
    result = run.result()
    assert result.success, result.message
    graph.until_state(DriverState.READY)
    events = [feedback.event for feedback in run.feedback]
    assert {"calibration_started", "step_started", "limit_recorded", "calibration_done"} <= set(events)
    assert {feedback.joints for feedback in run.feedback} >= {"index_abd"}
    assert max(feedback.step for feedback in run.feedback) == 2
    measured = graph.measured()
    joint = bus.joint_names.index("index_abd")
    assert abs(measured[joint] - bus.driven().position[-1][joint]) < 0.05
    assert yaml.safe_load((tmp_path / "hand.yaml").read_text())["calibrated"]
    again = graph.calibrate().result()
    assert not again.success and "force" in again.message


@pytest.mark.parametrize("by", ["cancel", "emergency stop"])
def test_a_calibration_that_is_ended_leaves_the_hand_without_torque(
    bus: BusProcess, make_graph: Callable[..., HandGraph], by: str
) -> None:
    graph = make_graph(bus, calibration_joints="index_mcp")
    graph.ready()
    run = graph.calibrate(force=True)
    graph.until(lambda: any(f.event == "step_started" for f in run.feedback), "the first step")
    if by == "cancel":
        run.goal.cancel_goal_async()
    else:
        graph.press(True)
    result = run.result()
    assert not result.success and "ended before it was done" in result.message
    graph.until_state(DriverState.FAULT, "ended before it was done")
    assert not bus.torque().any()
    graph.press(False)
    graph.until(lambda: not graph.node.follower.stop_pressed, "the emergency stop is heard")
    assert graph.call(topics.HAND_RECOVER) == (True, "")
    graph.until_state(DriverState.READY)


def test_deactivated_it_holds_and_refuses(bus: BusProcess, make_graph: Callable[..., HandGraph]) -> None:
    graph = make_graph(bus)
    start = graph.ready()
    graph.node.trigger_deactivate()
    graph.until_state(DriverState.INACTIVE, "not active")
    graph.joints.clear()
    graph.command(start)
    graph.until(lambda: graph.status()["refused_commands"] == "1", "a refusal")
    graph.spin_for(0.1)
    assert graph.joints == []
    assert bus.torque().all()
    graph.node.trigger_activate()
    graph.until_state(DriverState.READY)


@pytest.mark.parametrize(("torque_at_exit", "holds"), [("release", False), ("keep", True)])
def test_at_its_end_torque_is_what_the_cell_says(
    bus: BusProcess, make_graph: Callable[..., HandGraph], torque_at_exit: str, holds: bool
) -> None:
    graph = make_graph(bus, hand={"torque_at_exit": torque_at_exit})
    graph.ready()
    assert bus.torque().all()
    graph.close()
    assert bus.torque().all() == holds and bus.torque().any() == holds


def test_a_terminated_process_releases_the_hand(bus: BusProcess, tmp_path: Path) -> None:
    bus.write_calibration(tmp_path / "hand.yaml")
    bus.mark()
    arguments = ["--ros-args", "-p", f"robot_file:={write_cell(tmp_path, bus)}"]
    process = subprocess.Popen(
        [sys.executable, "-m", "orca_hand_driver.orca_hand_node", *arguments],
        stderr=subprocess.PIPE,
        text=True,
        env=os.environ,
    )
    assert process.stderr is not None
    for line in process.stderr:
        if "STOPPED" in line:
            break
    assert bus.torque().all()
    process.send_signal(signal.SIGTERM)
    process.communicate(timeout=20)
    assert not bus.torque().any()


def test_the_first_generation_of_the_left_hand_has_its_own_joints(
    tmp_path: Path, make_graph: Callable[..., HandGraph]
) -> None:
    bus = BusProcess(tmp_path / "left", "v1", "orcahand-left")
    try:
        graph = make_graph(bus, hand={"max_current": 200})
        start = graph.ready()
        assert tuple(graph.joint_state().name) == bus.joint_names != ("wrist",)
        assert "thumb_pip" in bus.joint_names
        target = start + 0.2 * np.sign(bus.gearing.ranges.mean(axis=1) - start)
        graph.stream(target, lambda: np.abs(graph.measured() - target).max() < 0.03, "the target")
        graph.close()
    finally:
        bus.close()
