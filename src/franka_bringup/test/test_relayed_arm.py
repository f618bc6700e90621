"""What reaches a controller that follows every target for ever, on a clock and an arm of the test's own."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from soft_flow_contract.driver_machine import DriverState
from soft_flow_contract.pose import Pose
from soft_flow_contract.robot_cell import RobotCell
from soft_flow_franka_bringup.arm_follower import FollowerSettings
from soft_flow_franka_bringup.arm_state import ArmState
from soft_flow_franka_bringup.franka_kinematics import flange_pose
from soft_flow_franka_bringup.relayed_arm import RelayedArm, RelaySettings, ToController
from soft_flow_franka_bringup.target_guard import CommandedPose, TargetRefused

CELL = RobotCell.load(Path(__file__).parents[3] / "config" / "robots" / "fr3_orca_right.yaml")
HOME = np.array(CELL.arm.home)
PERIOD = 0.005


class Rig:
    """The relay, an arm that stands unless a test moves it, and what the controller was told."""

    def __init__(self, **settings: float) -> None:
        self.relay = RelayedArm(CELL.arm, CELL.workspace, FollowerSettings(), RelaySettings(**settings))
        self.now, self.position, self.flange = 100.0, HOME.copy(), flange_pose(HOME)
        self.told: list[ToController] = []

    def state(self) -> ArmState:
        zeros = np.zeros(7)
        time_ms = round(1e3 * self.now)
        return ArmState(time_ms, self.position, zeros, zeros, self.flange, "Move", (), 1.0, np.zeros(3))

    def keep(self, sent: ToController) -> None:
        if sent.flange is not None or sent.posture is not None:
            self.told.append(sent)

    def run(self, seconds: float, each: Callable[[], None] = lambda: None) -> None:
        for _ in range(round(seconds / PERIOD)):
            self.now += PERIOD
            self.keep(self.relay.observe(self.state(), self.now))
            self.keep(self.relay.due(self.now))
            each()

    def command(self, pose: Pose) -> None:
        stamp_ns = round(1e9 * self.now)
        self.relay.command(CommandedPose(pose.position, pose.quaternion, "base", stamp_ns), self.now)

    def follow(self) -> None:
        """The arm is where its controller was told to go."""
        if self.flanges:
            self.flange = self.flanges[-1]

    @property
    def flanges(self) -> list[Pose]:
        return [sent.flange for sent in self.told if sent.flange is not None]

    @property
    def postures(self) -> list[np.ndarray]:
        return [sent.posture for sent in self.told if sent.posture is not None]


@pytest.fixture
def rig() -> Rig:
    """Activated, the emergency stop released, nothing commanded yet."""
    rig = Rig()
    rig.relay.activate(rig.state(), rig.now)
    rig.run(0.05)
    assert rig.told == []
    rig.relay.emergency_stop(False)
    rig.run(0.05)
    return rig


def step(pose: Pose, y: float) -> Pose:
    return pose.moved(np.array([0.0, y, 0.0]), np.zeros(3))


def test_before_the_first_command_the_controller_is_told_only_where_the_arm_is(rig: Rig) -> None:
    assert len(rig.told) == 1
    np.testing.assert_allclose(rig.flanges[0].position, rig.flange.position)


def test_a_target_is_led_to_smoothly_and_sent_no_more_once_it_is_reached(rig: Rig) -> None:
    start = rig.flange
    commands = [step(start, 0.02 * k) for k in range(1, 6)]
    for target in commands:
        rig.command(target)
        rig.run(0.05, rig.follow)
    steps = np.diff([pose.position[1] for pose in rig.flanges])
    assert steps.min() >= 0
    assert steps.max() < 2 * 0.4 * PERIOD
    for _ in range(8):
        rig.command(commands[-1])
        rig.run(0.05, rig.follow)
    np.testing.assert_allclose(rig.flanges[-1].position, commands[-1].position, atol=1e-6)
    count = len(rig.told)
    rig.command(commands[-1])
    rig.run(0.05, rig.follow)
    assert len(rig.told) == count


def test_the_elbow_is_drawn_to_the_posture_only_while_commands_flow(rig: Rig) -> None:
    assert rig.postures == []
    rig.position = HOME + 0.1
    rig.command(step(rig.flange, 0.01))
    rig.run(0.1, rig.follow)
    np.testing.assert_allclose(rig.postures[0], HOME)
    rig.run(CELL.arm.command_timeout + 0.1, rig.follow)
    assert len(rig.postures) == 2
    np.testing.assert_allclose(rig.postures[1], HOME + 0.1)


def test_missing_commands_end_in_the_measured_pose_and_then_nothing(rig: Rig) -> None:
    rig.command(step(rig.flange, 0.05))
    rig.run(0.1)  # the arm lags: it stands
    rig.run(CELL.arm.command_timeout)
    assert rig.relay.report().state is DriverState.FAULT
    np.testing.assert_allclose(rig.flanges[-1].position, rig.flange.position)
    count = len(rig.told)
    rig.flange = step(rig.flange, 0.01)
    rig.run(1.0)
    assert len(rig.told) == count


def test_the_emergency_stop_ends_in_the_measured_pose_at_once(rig: Rig) -> None:
    rig.command(step(rig.flange, 0.05))
    rig.run(0.1)
    assert np.linalg.norm(rig.flanges[-1].position - rig.flange.position) > 0.01
    rig.relay.emergency_stop(True)
    rig.keep(rig.relay.due(rig.now))
    np.testing.assert_allclose(rig.flanges[-1].position, rig.flange.position)
    count = len(rig.flanges)
    rig.run(1.0)
    assert len(rig.flanges) == count


def test_after_the_emergency_stop_nothing_jumps(rig: Rig) -> None:
    for k in range(1, 4):
        rig.command(step(rig.flange, 0.02))
        rig.run(0.05, rig.follow if k < 3 else lambda: None)
    rig.relay.emergency_stop(True)
    rig.run(0.5)
    told = len(rig.flanges)
    rig.relay.emergency_stop(False)
    rig.run(0.5)
    assert all(np.linalg.norm(p.position - rig.flange.position) < 1e-6 for p in rig.flanges[told - 1 :])


def test_commands_during_a_fault_are_refused_and_recovery_begins_where_the_arm_is(rig: Rig) -> None:
    rig.relay.fail("broken")
    rig.run(0.05)
    count = len(rig.told)
    with pytest.raises(TargetRefused, match="broken"):
        rig.command(step(rig.flange, 0.01))
    rig.flange = step(rig.flange, 0.2)  # somebody moved it
    rig.run(0.1)
    assert len(rig.told) == count
    assert rig.relay.recover(rig.now) == ""
    rig.run(0.05)
    assert rig.relay.report().state is DriverState.READY
    np.testing.assert_allclose(rig.flanges[-1].position, rig.flange.position)
    rig.command(step(rig.flange, 0.01))


def test_an_arm_that_does_not_follow_is_a_fault_before_its_controller_could_jump(rig: Rig) -> None:
    start = rig.flange
    for k in range(1, 20):
        if rig.relay.report().state is not DriverState.READY:
            break
        rig.command(step(start, 0.02 * k))
        rig.run(0.05)
    assert "not active" in rig.relay.report().reason
    np.testing.assert_allclose(rig.flanges[-1].position, start.position)
    farthest = max(np.linalg.norm(pose.position - start.position) for pose in rig.flanges)
    assert farthest < RelaySettings().max_lag


def test_joint_states_that_stand_still_are_a_fault_that_cannot_be_recovered_from(rig: Rig) -> None:
    rig.command(step(rig.flange, 0.01))
    rig.run(0.02)
    rig.now += 0.06
    rig.keep(rig.relay.due(rig.now))
    assert "joint states" in rig.relay.report().reason
    np.testing.assert_allclose(rig.flanges[-1].position, rig.flange.position)
    rig.now += 0.06
    assert "stand still" in rig.relay.recover(rig.now)
    rig.run(0.02)
    assert rig.relay.recover(rig.now) == ""


def test_a_relay_that_is_not_active_follows_and_sends_nothing() -> None:
    rig = Rig()
    rig.relay.emergency_stop(False)
    with pytest.raises(TargetRefused):
        rig.command(step(rig.flange, 0.01))
    rig.keep(rig.relay.due(rig.now))
    assert rig.told == []
    assert "not active" in rig.relay.recover(rig.now)
