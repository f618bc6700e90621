"""Which source moves the robot: arming, epochs, teleoperation."""

import numpy as np
from arbiter_maker import (
    DT,
    START,
    action,
    begin_policy,
    begin_teleop,
    chunk,
    constant,
    is_hold_of,
    operate,
    robot_at,
)

from soft_flow_episode.arbiter import Arbiter
from soft_flow_episode.command import Mode, OperatorAction, Source

# Arming


def test_it_starts_disarmed_and_holds_where_the_robot_is(arbiter: Arbiter) -> None:
    arbiter.observe(START, robot_at(z=0.33))
    arbiter.accept_chunk(chunk(arbiter, constant(action(1.0))))
    arbiter.accept_operator(OperatorAction(START, action(1.0), True, False))
    assert not arbiter.armed
    assert is_hold_of(arbiter.answer(START, at_deadline=False), robot_at(z=0.33))


def test_nothing_is_commanded_before_anything_was_observed(arbiter: Arbiter) -> None:
    assert arbiter.answer(START, at_deadline=True) is None


def test_hold_answers_at_once_also_in_lockstep(arbiter: Arbiter) -> None:
    arbiter.observe(START, robot_at())
    arbiter.set_mode(Mode.HOLD, 0)
    arbiter.observe(START + DT, robot_at())
    command = arbiter.answer(START + DT, at_deadline=False)
    assert is_hold_of(command, robot_at())
    assert command is not None and not command.missed


# Epochs


def test_an_epoch_change_drops_the_chunk_and_re_anchors_to_the_measured_robot(arbiter: Arbiter) -> None:
    begin_policy(arbiter, action(1.0))
    arbiter.answer(START, at_deadline=False)
    before = arbiter.epoch
    assert arbiter.set_mode(Mode.TELEOP, 0) == before + 1
    arbiter.observe(START + DT, robot_at(y=0.07, hand=0.1))
    assert arbiter.answer(START + DT, at_deadline=False) is None
    arbiter.accept_operator(OperatorAction(START + DT, action(0.0, hand=np.full(17, -2.0)), False, False))
    assert is_hold_of(arbiter.answer(START + DT, at_deadline=False), robot_at(y=0.07, hand=0.1))


def test_ticks_before_the_epochs_start_are_held(arbiter: Arbiter) -> None:
    arbiter.set_mode(Mode.POLICY, START)
    arbiter.observe(START - DT, robot_at())
    assert is_hold_of(arbiter.answer(START - DT, at_deadline=False), robot_at())


def test_a_takeover_is_held_until_the_epochs_first_observation(arbiter: Arbiter) -> None:
    begin_policy(arbiter, action(1.0))
    arbiter.set_mode(Mode.POLICY, START + DT)
    assert arbiter.accept_chunk(chunk(arbiter, constant(action(1.0)), START + DT)) == ""
    assert is_hold_of(arbiter.answer(START + DT, at_deadline=True), robot_at())


def test_an_idle_robot_that_was_moved_by_hand_is_not_pulled_back(arbiter: Arbiter) -> None:
    arbiter.observe(START, robot_at())
    arbiter.observe(START + DT, robot_at(y=0.3))
    assert is_hold_of(arbiter.answer(START + DT, at_deadline=True), robot_at(y=0.3))


def test_an_idle_robot_that_sags_is_held_in_place(arbiter: Arbiter) -> None:
    arbiter.observe(START, robot_at())
    arbiter.observe(START + DT, robot_at(z=0.39))
    assert is_hold_of(arbiter.answer(START + DT, at_deadline=True), robot_at())


# Teleoperation


def test_the_deadman_lets_an_action_through_only_while_it_is_held(arbiter: Arbiter) -> None:
    begin_teleop(arbiter)
    command = operate(arbiter, action(0.5), deadman=False)
    assert is_hold_of(command, robot_at())
    assert not command.missed
    command = operate(arbiter, action(0.5), deadman=True)
    assert not command.held and command.source is Source.TELEOP


def test_a_scripted_operator_is_recorded_as_such(arbiter: Arbiter) -> None:
    begin_teleop(arbiter)
    assert operate(arbiter, action(0.5), scripted=True).source is Source.SCRIPTED


def test_an_operator_action_of_another_tick_is_not_played(arbiter: Arbiter) -> None:
    begin_teleop(arbiter)
    arbiter.accept_operator(OperatorAction(START - DT, action(0.5), True, False))
    assert arbiter.answer(START, at_deadline=False) is None
    command = arbiter.answer(START, at_deadline=True)
    assert command is not None and command.held and command.missed


def test_the_policy_does_not_act_while_an_operator_does(arbiter: Arbiter) -> None:
    begin_teleop(arbiter)
    arbiter.accept_chunk(chunk(arbiter, constant(action(1.0))))
    assert arbiter.answer(START, at_deadline=False) is None
