"""The simulated arm controller, with the untouched clients of franky and of Franka itself."""

import json
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from world_process import World, running_world

from soft_flow_franka_bringup.thread_priority import priority_kept
from soft_flow_sim.control_socket import ControlError
from soft_flow_sim.hand_poses import HOME_POSTURE
from soft_flow_sim.inverse_kinematics import ArmInverseKinematics

franky = pytest.importorskip("franky", reason="franky has no wheel for this Python")


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    # Patient: what a busy machine does to a client is not what is tested here.
    with running_world(tmp_path_factory.mktemp("world"), "--patience", "1.0") as world:
        yield world


@pytest.fixture
def robot(world: World) -> Iterator[Any]:
    # A client that a failed test left connected would block this one for ever.
    world.ask(do="fault", fault="disconnect")
    robot = connect(world)
    robot.recover_from_errors()
    load = json.loads(json.dumps([0.0086, 0, 0, 0, 0.0084, 0, 0, 0, 0.0017]))
    robot.set_load(1.12, [-0.0012, -0.0021, 0.1374], [float(value) for value in load])
    robot.set_collision_behavior(60.0, 100.0)
    yield robot
    try:
        robot.stop()
    except franky.ControlException:
        robot.recover_from_errors()


def connect(world: World) -> Any:
    with priority_kept():  # franky raises the thread that connects, and all that it starts afterwards
        return franky.Robot(world.address, realtime_config=franky.RealtimeConfig.Ignore)


def wait_for(happened: Callable[[], bool], limit: float = 20.0) -> None:
    deadline = time.monotonic() + limit
    while not happened():
        assert time.monotonic() < deadline, "it never happened"
        time.sleep(0.01)


def tracker(robot: Any) -> Any:
    return franky.CartesianImpedanceTracker(
        robot, translational_stiffness=1200.0, rotational_stiffness=60.0, period=0.005
    )


def ended(tracking: Any) -> str:
    """How the client's motion ended, in libfranka's words."""
    try:
        tracking.stop()
    except (franky.ControlException, franky.CommandException) as error:
        return str(error)
    return ""


def test_the_end_effector_of_the_state_is_the_flange(robot: Any) -> None:
    state = robot.state
    position, rotation = ArmInverseKinematics(HOME_POSTURE).flange_pose(np.array(state.q))
    np.testing.assert_allclose(state.O_T_EE.translation, position, atol=1e-3)
    np.testing.assert_allclose(state.O_T_EE.matrix[:3, :3], rotation, atol=1e-3)


def test_an_impedance_controller_of_the_client_holds_the_hand_that_it_knows_the_weight_of(
    robot: Any,
) -> None:
    start = robot.current_pose.end_effector_pose
    tracking = tracker(robot)
    for _ in range(100):
        tracking.tick()
    sag = robot.current_pose.end_effector_pose.translation - start.translation
    assert np.linalg.norm(sag) < 0.005
    assert ended(tracking) == ""


def test_the_clients_targets_are_reached(robot: Any) -> None:
    start = robot.current_pose.end_effector_pose
    goal = franky.Affine(start.translation + np.array([0.0, 0.05, 0.03]), start.quaternion)
    tracking = tracker(robot)
    for step in range(200):
        tracking.tick()
        part = min(step / 100, 1.0)
        tracking.set_target(
            franky.Affine(start.translation + part * np.array([0.0, 0.05, 0.03]), start.quaternion)
        )
    assert np.linalg.norm(robot.current_pose.end_effector_pose.translation - goal.translation) < 0.005
    assert ended(tracking) == ""


def test_a_reflex_ends_the_motion_and_refuses_the_next_until_recovery(world: World, robot: Any) -> None:
    tracking = tracker(robot)
    wait_for(lambda: world.ask(do="status")["moving"])
    world.ask(do="fault", fault="reflex", reason="joint_reflex")
    assert "joint_reflex" in ended(tracking)
    assert robot.state.robot_mode == franky.RobotMode.Reflex
    assert world.ask(do="status")["reflex"] == "joint_reflex"
    assert ended(tracker(robot)) != ""
    robot.recover_from_errors()
    tracking = tracker(robot)
    wait_for(lambda: robot.is_in_control)
    assert ended(tracking) == ""


def test_a_client_that_falls_silent_is_stopped_by_the_arm_itself(world: World, robot: Any) -> None:
    tracking = tracker(robot)
    wait_for(lambda: world.ask(do="status")["moving"])
    world.ask(do="fault", fault="silent", seconds=0.3)
    wait_for(lambda: world.ask(do="status")["reflex"] != "")
    assert world.ask(do="status")["reflex"] == "communication_constraints_violation"
    assert "communication_constraints_violation" in ended(tracking)


def test_a_client_may_vanish_and_come_back(world: World) -> None:
    code = "import franky, os, sys; franky.Robot(sys.argv[1], realtime_config=franky.RealtimeConfig.Ignore); "
    code += "os._exit(0)"
    world.ask(do="fault", fault="disconnect")
    for _ in range(2):
        subprocess.run([sys.executable, "-c", code, world.address], check=True, timeout=30)
    robot = connect(world)
    before = str(robot.state.time)
    wait_for(lambda: str(robot.state.time) != before)


def test_franka_s_own_client_moves_a_joint(world: World) -> None:
    # In a process of its own: pylibfranka and franky cannot be imported into one.
    pytest.importorskip("importlib.metadata").version("pylibfranka")
    world.ask(do="fault", fault="disconnect")
    code = Path(__file__).with_name("move_joint_with_pylibfranka.py")
    done = subprocess.run(
        [sys.executable, str(code), world.address], capture_output=True, text=True, timeout=60
    )
    assert done.returncode == 0, done.stderr
    moved = np.array(json.loads(done.stdout))
    np.testing.assert_allclose(moved, [0.1, 0, 0, 0, 0, 0, 0], atol=0.01)


def test_the_hands_servos_follow_what_the_shared_file_says(world: World) -> None:
    goal, limit = np.zeros(17), np.full(17, 0.35)
    limit[0] = 6.0
    goal[7] = 0.8
    world.shared.write("driven", goal=goal, torque_limit=limit, enabled=np.ones(17))
    wait_for(lambda: abs(world.shared.read("measured")["position"][7] - 0.8) < 0.05)
    held = world.shared.read("measured")["torque"]
    assert np.all(np.abs(held) <= limit + 1e-6)
    world.shared.write("driven", goal=np.zeros(17), torque_limit=limit, enabled=np.zeros(17))
    time_ns = world.shared.read("measured")["time_ns"]
    wait_for(lambda: world.shared.read("measured")["time_ns"] > time_ns + 10_000_000)
    assert not np.any(world.shared.read("measured")["torque"])


def test_a_reset_lays_the_things_out_and_leaves_the_robot_where_it_is(world: World) -> None:
    limit = np.concatenate([[6.0], np.full(16, 0.35)])
    world.shared.write("driven", goal=np.zeros(17), torque_limit=limit, enabled=np.ones(17))
    wait_for(lambda: np.max(np.abs(world.shared.read("measured")["position"])) < 0.1)
    before = world.shared.read("measured")["position"]
    start = world.ask(do="reset", seed=11, episode_id="episode", grasp_assist=True)["start_ns"]
    wait_for(lambda: world.shared.read_report().get("stamp_ns", 0) >= start + 100_000_000)
    report = world.shared.read_report()
    assert (report["episode_id"], report["seed"]) == ("episode", 11)
    assert report["outcome"]["stamp_ns"] == report["stamp_ns"] and report["outcome"]["valid"]
    np.testing.assert_allclose(world.shared.read("measured")["position"], before, atol=0.1)


def test_an_unknown_request_is_refused_by_name(world: World) -> None:
    with pytest.raises(ControlError, match="dance"):
        world.ask(do="dance")
    with pytest.raises(ControlError, match="earthquake"):
        world.ask(do="fault", fault="earthquake")


def test_an_address_that_is_taken_is_one_clear_error(world: World, tmp_path: Path) -> None:
    command = [sys.executable, "-m", "soft_flow_sim.protocol.protocol_world", "--folder", str(tmp_path)]
    command += ["--robot-file", str(world.cell), "--task-file", "config/tasks/scissors.yaml"]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60, cwd=Path(__file__).parents[3])
    assert done.returncode == 2
    assert f"{world.address}:1337 cannot be served" in done.stderr
