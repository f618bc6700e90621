"""What never leaves the arbiter: commands beyond the limits, broken ones, any during an emergency stop."""

from pathlib import Path

import numpy as np
import pytest
from arbiter_maker import (
    DOWN,
    DT,
    START,
    A,
    action,
    begin_policy,
    begin_teleop,
    chunk,
    constant,
    is_hold_of,
    make_arbiter,
    operate,
    robot_at,
)

from soft_flow_contract.action_space import RobotTarget
from soft_flow_contract.pose import Pose
from soft_flow_contract.task_specification import TaskSpecification
from soft_flow_episode.arbiter import Arbiter, ModeRefusedError
from soft_flow_episode.command import Mode, Source

# Clamps


def test_a_valid_action_moves_the_last_target_by_its_scaled_change(arbiter: Arbiter) -> None:
    begin_policy(arbiter, action(0.5, axis=1))
    command = arbiter.answer(START, at_deadline=False)
    assert command is not None and command.source is Source.POLICY
    assert not command.clamped
    np.testing.assert_allclose(command.target.flange_in_base.position, [0.5, 0.015, 0.4], atol=1e-12)
    assert (command.chunk_id, command.chunk_step, command.policy_version) == (5, 0, 3)


def test_changes_compose_onto_the_last_target_and_not_onto_the_measured_pose(arbiter: Arbiter) -> None:
    begin_policy(arbiter, action(0.5, axis=1))
    arbiter.answer(START, at_deadline=False)
    arbiter.observe(START + DT, robot_at(y=0.002))
    command = arbiter.answer(START + DT, at_deadline=False)
    assert command is not None
    np.testing.assert_allclose(command.target.flange_in_base.position, [0.5, 0.03, 0.4], atol=1e-12)


@pytest.mark.parametrize("axis", [0, 1, 2])
def test_translation_is_clamped_to_its_limit_a_tick(
    arbiter: Arbiter, specification: TaskSpecification, axis: int
) -> None:
    begin_policy(arbiter, action(1.0) + action(1.0, axis=1) + action(1.0, axis=2) - 2 * action())
    command = arbiter.answer(START, at_deadline=False)
    assert command is not None and command.clamped
    moved = command.target.flange_in_base.position - robot_at().flange_in_base.position
    assert np.linalg.norm(moved) == pytest.approx(specification.limits.max_translation)
    assert command.executed[axis] == pytest.approx(1 / np.sqrt(3))


def test_rotation_is_clamped_to_its_limit_a_tick(arbiter: Arbiter, specification: TaskSpecification) -> None:
    begin_policy(arbiter, action(1.0, axis=3) + action(1.0, axis=5) - action())
    command = arbiter.answer(START, at_deadline=False)
    assert command is not None and command.clamped
    _, turned = robot_at().flange_in_base.change_to(command.target.flange_in_base)
    assert np.linalg.norm(turned) == pytest.approx(specification.limits.max_rotation)


@pytest.mark.parametrize(("axis", "sign"), [(axis, sign) for axis in range(3) for sign in (-1, 1)])
def test_the_flange_target_never_leaves_the_workspace(
    arbiter: Arbiter, specification: TaskSpecification, axis: int, sign: int
) -> None:
    bounds = specification.limits
    wall = (bounds.workspace_high if sign > 0 else bounds.workspace_low)[axis]
    position = np.array([0.5, 0.0, 0.4])
    position[axis] = wall - sign * 0.001
    begin_policy(arbiter, action(float(sign), axis=axis), RobotTarget(Pose(position, DOWN), np.zeros(17)))
    command = arbiter.answer(START, at_deadline=False)
    assert command is not None and command.clamped
    assert command.target.flange_in_base.position[axis] == pytest.approx(wall)


def test_a_blocked_arm_is_not_wound_up(arbiter: Arbiter, specification: TaskSpecification) -> None:
    begin_policy(arbiter, action(1.0))
    for tick in range(8):
        arbiter.observe(START + tick * DT, robot_at())
        command = arbiter.answer(START + tick * DT, at_deadline=False)
    assert command is not None and command.clamped
    lead = command.target.flange_in_base.position[0] - 0.5
    assert lead == pytest.approx(specification.limits.max_target_lead)


def test_hand_targets_are_clamped_in_range_and_in_their_change_a_tick(
    arbiter: Arbiter, specification: TaskSpecification
) -> None:
    begin_policy(arbiter, action(hand=np.ones(17)))
    commands = []
    for tick in range(8):
        arbiter.observe(START + tick * DT, robot_at())
        commands.append(arbiter.answer(START + tick * DT, at_deadline=False))
    first, last = commands[0], commands[-1]
    high = np.array([joint.high for joint in specification.action.hand])
    assert first is not None and last is not None and first.clamped
    np.testing.assert_allclose(first.target.hand, np.minimum(high, specification.limits.max_hand_step))
    np.testing.assert_allclose(last.target.hand, high)


def test_values_beyond_contract_space_are_clipped_and_recorded_as_executed(arbiter: Arbiter) -> None:
    begin_policy(arbiter, action(7.0))
    command = arbiter.answer(START, at_deadline=False)
    assert command is not None and command.clamped and command.proposed is not None
    assert command.proposed[0] == 7.0
    assert command.executed[0] == pytest.approx(1.0)


# What is refused


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
def test_a_chunk_that_is_not_finite_is_held_and_counted(arbiter: Arbiter, value: float) -> None:
    begin_policy(arbiter, action())
    broken = constant(action(1.0))
    broken[9, 4] = value
    assert arbiter.accept_chunk(chunk(arbiter, broken)) == "not finite"
    command = arbiter.answer(START, at_deadline=False)
    assert is_hold_of(command, robot_at())
    assert command is not None and command.missed
    assert arbiter.refused["not finite"] == 1


@pytest.mark.parametrize("shape", [(16, 22), (16, 24), (7, 23), (0, 23), (368,)])
def test_a_chunk_of_wrong_shape_is_held_and_counted(arbiter: Arbiter, shape: tuple[int, ...]) -> None:
    begin_policy(arbiter, action())
    assert arbiter.accept_chunk(chunk(arbiter, np.zeros(shape))) == "wrong shape"
    assert is_hold_of(arbiter.answer(START, at_deadline=False), robot_at())
    assert arbiter.refused["wrong shape"] == 1


@pytest.mark.parametrize("values", [np.full(A, np.nan), np.zeros(A - 1), np.zeros((2, A))])
def test_a_broken_operator_action_is_held_and_counted(arbiter: Arbiter, values: np.ndarray) -> None:
    begin_teleop(arbiter)
    command = operate(arbiter, values)
    assert is_hold_of(command, robot_at())
    assert command.missed
    assert arbiter.counts["invalid actions"] == 1


def test_the_tick_of_a_refused_observation_is_held(arbiter: Arbiter) -> None:
    begin_policy(arbiter, action(1.0))
    arbiter.observe_invalid(START + DT, "not finite")
    command = arbiter.answer(START + DT, at_deadline=False)
    assert is_hold_of(command, robot_at())
    assert command is not None and command.missed and command.reason == "not finite"


def test_an_observation_that_is_not_newer_is_ignored(arbiter: Arbiter) -> None:
    assert arbiter.observe(START, robot_at())
    assert not arbiter.observe(START, robot_at(z=0.1))
    assert not arbiter.observe(START - DT, robot_at(z=0.1))
    assert is_hold_of(arbiter.answer(START, at_deadline=False), robot_at())


# Emergency stop


def test_an_emergency_stop_disarms_at_once_and_refuses_to_arm(arbiter: Arbiter) -> None:
    begin_policy(arbiter, action(1.0))
    epoch = arbiter.epoch
    arbiter.emergency_stop("a person pressed the button")
    assert arbiter.emergency_stopped and not arbiter.armed and arbiter.epoch > epoch
    assert is_hold_of(arbiter.answer(START, at_deadline=False), robot_at())
    with pytest.raises(ModeRefusedError, match="a person pressed the button.*emergency_reset"):
        arbiter.set_mode(Mode.POLICY, START)
    arbiter.set_mode(Mode.HOLD, 0)


def test_while_stopped_the_target_follows_the_robot_so_that_nothing_jumps_later(arbiter: Arbiter) -> None:
    arbiter.observe(START, robot_at())
    arbiter.emergency_stop("test")
    arbiter.observe(START + DT, robot_at(z=0.38))
    assert is_hold_of(arbiter.answer(START + DT, at_deadline=True), robot_at(z=0.38))


def test_a_reset_releases_the_stop_but_does_not_arm(arbiter: Arbiter) -> None:
    begin_policy(arbiter, action(1.0))
    arbiter.emergency_stop("test")
    arbiter.emergency_reset()
    assert not arbiter.emergency_stopped and not arbiter.armed
    arbiter.set_mode(Mode.POLICY, START + DT)
    assert arbiter.armed


def test_the_emergency_stop_survives_a_restart(latch_file: Path) -> None:
    make_arbiter(latch_file).emergency_stop("test")
    again = make_arbiter(latch_file)
    assert again.emergency_stopped
    with pytest.raises(ModeRefusedError):
        again.set_mode(Mode.TELEOP, 0)
    again.emergency_reset()
    assert not make_arbiter(latch_file).emergency_stopped
