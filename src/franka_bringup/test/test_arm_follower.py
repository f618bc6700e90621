"""The follower without a robot: states and commands in, references out, on a clock of the test's own."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from soft_flow_contract.driver_machine import DriverState
from soft_flow_contract.pose import Pose
from soft_flow_contract.robot_cell import RobotCell
from soft_flow_franka_bringup.arm_follower import ArmFollower, FollowerSettings
from soft_flow_franka_bringup.arm_state import ArmState
from soft_flow_franka_bringup.flange_reference import ReferenceSample
from soft_flow_franka_bringup.target_guard import CommandedPose, TargetRefused

CELL = RobotCell.load(Path(__file__).parents[3] / "config" / "robots" / "protocol_sim.yaml")
START = Pose(np.array([0.45, -0.16, 0.49]), np.array([1.0, 0.0, 0.0, 0.0]))
STATE = ArmState(0, np.array(CELL.arm.home), np.zeros(7), np.zeros(7), START, "Move", (), 1.0, np.zeros(3))


class World:
    """A follower, its clock, and an arm that is where it is put."""

    def __init__(self, **settings: object) -> None:
        self.follower = ArmFollower(CELL.arm, CELL.workspace, FollowerSettings(**settings))
        self.now, self.stamp, self.state = 100.0, 0, STATE
        self.follower.connected(self.state, self.now)
        self.follower.activate()
        self.follower.emergency_stop(False)

    def step(self, milliseconds: int = 5, advances: bool = True, **state: object) -> ReferenceSample:
        self.now += 1e-3 * milliseconds
        time_ms = self.state.time_ms + (milliseconds if advances else 0)
        self.state = replace(self.state, time_ms=time_ms, **state)
        return self.follower.observe(self.state, self.now)

    def run(self, milliseconds: int) -> ReferenceSample:
        for _ in range(milliseconds // 5):
            sample = self.step()
        return sample

    def command(self, y: float, position: object = None) -> None:
        self.stamp += 1
        where = START.position + np.array([0.0, y, 0.0]) if position is None else np.asarray(position)
        self.follower.command(CommandedPose(where, START.quaternion, "base", self.stamp), self.now)

    @property
    def driver_state(self) -> DriverState:
        return self.follower.report().state


@pytest.fixture
def world() -> World:
    return World()


def test_a_command_leads_the_reference_there(world: World) -> None:
    world.command(0.02)
    sample = world.run(145)
    np.testing.assert_allclose(sample.pose.position - START.position, [0, 0.02, 0], atol=2e-3)
    assert world.follower.report().accepted == 1


def test_without_commands_the_reference_stands(world: World) -> None:
    sample = world.run(1000)
    np.testing.assert_array_equal(sample.pose.position, START.position)
    assert world.driver_state is DriverState.READY


def test_missing_commands_are_a_fault_that_keeps_the_arm_where_it_was_led(world: World) -> None:
    world.command(0.02)
    sample = world.run(160)
    assert world.driver_state is DriverState.FAULT and "no command" in world.follower.report().reason
    with pytest.raises(TargetRefused, match="no command"):
        world.command(0.04)
    np.testing.assert_allclose(world.run(200).pose.position, sample.pose.position, atol=1e-3)


def test_a_refused_command_does_not_feed_the_watchdog(world: World) -> None:
    world.command(0.02)
    for _ in range(4):
        world.run(45)
        with pytest.raises(TargetRefused):
            world.command(0.0, position=[np.nan] * 3)
    report = world.follower.report()
    assert (report.state, report.accepted, report.refused) == (DriverState.FAULT, 1, 4)
    assert "no command" in report.reason


def test_without_its_watchdog_nothing_notices_missing_commands() -> None:
    world = World(watchdog=False)
    world.command(0.02)
    world.run(1000)
    assert world.driver_state is DriverState.READY


def test_in_a_world_at_half_speed_the_watchdog_waits_twice_as_long() -> None:
    world = World(time_scale=2.0)
    world.command(0.02)
    world.run(290)
    assert world.driver_state is DriverState.READY
    world.run(20)
    assert world.driver_state is DriverState.FAULT


def test_an_emergency_stop_ends_the_lead_at_once_and_commands_are_refused(world: World) -> None:
    world.command(0.03)
    world.run(25)
    world.follower.emergency_stop(True)
    led_to = world.follower.reference_pose.position
    with pytest.raises(TargetRefused, match="emergency stop"):
        world.command(0.03)
    np.testing.assert_allclose(world.run(145).pose.position, led_to, atol=1e-3)


def test_once_it_stands_after_an_emergency_stop_the_arm_gives_way(world: World) -> None:
    world.follower.emergency_stop(True)
    pushed = START.moved(np.array([0.0, 0.0, 0.02]), np.zeros(3))
    world.step(flange=pushed)
    np.testing.assert_allclose(world.run(600).pose.position, pushed.position, atol=1e-6)


def test_released_it_begins_where_the_arm_is(world: World) -> None:
    world.follower.emergency_stop(True)
    world.run(300)
    elsewhere = START.moved(np.array([0.0, 0.0, 0.03]), np.zeros(3))
    world.step(flange=elsewhere)
    world.follower.emergency_stop(False)
    assert world.driver_state is DriverState.READY
    np.testing.assert_allclose(world.run(400).pose.position, elsewhere.position, atol=1e-6)


def test_a_state_that_stands_still_is_a_fault(world: World) -> None:
    world.step(40, advances=False)
    assert world.driver_state is DriverState.READY
    world.step(15, advances=False)
    assert world.driver_state is DriverState.FAULT and "stands still" in world.follower.report().reason


def test_after_a_pause_of_the_controller_the_reference_does_not_jump(world: World) -> None:
    world.command(0.03)
    world.step(1000)
    assert world.follower.reference_pose.position[1] - START.position[1] <= 0.03 * 0.02 / 0.05 + 1e-9


def test_a_joint_that_moves_into_its_end_is_a_fault(world: World) -> None:
    position, velocity = np.array(CELL.arm.home), np.zeros(7)
    position[3], velocity[3] = -3.02, -0.2
    world.step(position=position, velocity=velocity)
    assert world.driver_state is DriverState.FAULT and "joint 4" in world.follower.report().reason


def test_recovered_it_begins_where_the_arm_is_and_waits_for_the_first_command(world: World) -> None:
    world.command(0.02)
    world.run(300)
    elsewhere = START.moved(np.array([0.0, 0.0, 0.01]), np.zeros(3))
    world.step(flange=elsewhere)
    world.follower.recovered(world.state, restarted=False)
    np.testing.assert_allclose(world.run(400).pose.position, elsewhere.position, atol=1e-6)
    assert world.driver_state is DriverState.READY


def test_after_recovery_stamps_may_start_anew(world: World) -> None:
    world.stamp = 1000
    world.command(0.01)
    world.follower.fail("test")
    world.follower.recovered(world.state, restarted=False)
    world.stamp = 0
    world.command(0.01)
    assert world.follower.report().accepted == 2


def test_the_elbow_is_drawn_home_only_while_commands_flow(world: World) -> None:
    assert not world.follower.moving(world.now)
    world.command(0.01)
    assert world.follower.moving(world.now + 0.1)
    assert not world.follower.moving(world.now + 0.2)
