"""Which step of a chunk is played when, and what happens when something comes late or not at all."""

import numpy as np
import pytest
from arbiter_maker import DT, START, A, action, begin_policy, chunk, constant, feed, is_hold_of, robot_at

from soft_flow_contract.task_specification import TaskSpecification
from soft_flow_episode.arbiter import Arbiter
from soft_flow_episode.command import Mode, Source

# Chunks


def test_lockstep_waits_for_the_chunk_without_a_deadline(arbiter: Arbiter) -> None:
    arbiter.set_mode(Mode.POLICY, START)
    arbiter.observe(START, robot_at())
    assert arbiter.answer(START, at_deadline=False) is None
    assert arbiter.waiting_for() == "policy/action_chunk"
    arbiter.accept_chunk(chunk(arbiter, constant(action(0.5))))
    command = arbiter.answer(START, at_deadline=False)
    assert command is not None and command.source is Source.POLICY


def test_expired_steps_are_dropped_and_never_shifted(arbiter: Arbiter) -> None:
    arbiter.set_mode(Mode.POLICY, START)
    arbiter.observe(START, robot_at())
    for tick in (1, 2, 3):
        arbiter.observe(START + tick * DT, robot_at())
        arbiter.accept_heartbeat(START + tick * DT, True)
    actions = constant(action())
    actions[:, 0] = np.arange(16) / 100
    arbiter.accept_chunk(chunk(arbiter, actions))
    command = arbiter.answer(START + 3 * DT, at_deadline=True)
    assert command is not None and command.chunk_step == 3
    assert command.executed[0] == pytest.approx(0.03)


def test_steps_beyond_the_executed_length_are_not_played(
    arbiter: Arbiter, specification: TaskSpecification
) -> None:
    begin_policy(arbiter, action(0.1))
    end = START + specification.chunk.executed * DT
    arbiter.observe(end, robot_at())
    assert arbiter.answer(end, at_deadline=False) is None


def test_a_chunk_of_another_epoch_is_refused(arbiter: Arbiter) -> None:
    arbiter.set_mode(Mode.POLICY, START)
    arbiter.observe(START, robot_at())
    assert arbiter.accept_chunk(chunk(arbiter, constant(action()), epoch=arbiter.epoch - 1))
    assert arbiter.answer(START, at_deadline=False) is None


def test_a_chunk_planned_before_the_epochs_start_is_refused(arbiter: Arbiter) -> None:
    arbiter.set_mode(Mode.POLICY, START)
    arbiter.observe(START, robot_at())
    assert "before" in arbiter.accept_chunk(chunk(arbiter, constant(action()), START - DT))
    assert arbiter.answer(START, at_deadline=False) is None


def test_an_older_chunk_does_not_replace_a_newer_one(arbiter: Arbiter) -> None:
    begin_policy(arbiter, action(0.2))
    arbiter.observe(START + DT, robot_at())
    assert not arbiter.accept_chunk(chunk(arbiter, constant(action(0.4)), START + DT))
    assert arbiter.accept_chunk(chunk(arbiter, constant(action(0.2)), START))
    command = arbiter.answer(START + DT, at_deadline=False)
    assert command is not None and command.executed[0] == pytest.approx(0.4)


# Deadlines, staleness


def test_a_missed_deadline_is_held_and_flagged(arbiter: Arbiter) -> None:
    arbiter.set_mode(Mode.POLICY, START)
    arbiter.observe(START, robot_at())
    arbiter.accept_heartbeat(START, True)
    command = arbiter.answer(START, at_deadline=True)
    assert is_hold_of(command, robot_at())
    assert command is not None and command.missed


def test_one_missing_observation_is_played_through_and_two_are_held(arbiter: Arbiter) -> None:
    begin_policy(arbiter, action(0.1))
    assert not feed(arbiter, 0).held
    assert not feed(arbiter, 1, observed=False).held
    command = feed(arbiter, 2, observed=False)
    assert command.held and command.missed and command.reason == "no observation"
    assert not feed(arbiter, 3).held


def test_one_missing_heartbeat_is_played_through_and_two_are_held(arbiter: Arbiter) -> None:
    begin_policy(arbiter, action(0.1))
    assert not feed(arbiter, 0).held
    assert not feed(arbiter, 1, heard=False).held
    command = feed(arbiter, 2, heard=False)
    assert command.held and command.missed and command.reason == "no policy heartbeat"


def test_a_policy_that_never_answers_is_noticed(arbiter: Arbiter) -> None:
    arbiter.set_mode(Mode.POLICY, START)
    reasons = [feed(arbiter, tick, heard=False).reason for tick in range(3)]
    assert reasons[-1] == "no policy heartbeat"


def test_an_unhealthy_policy_is_held_also_in_lockstep(arbiter: Arbiter) -> None:
    arbiter.set_mode(Mode.POLICY, START)
    arbiter.observe(START, robot_at())
    arbiter.accept_heartbeat(START, False)
    command = arbiter.answer(START, at_deadline=False)
    assert command is not None and command.held and command.missed


def test_too_many_missed_ticks_in_a_row_disarm(arbiter: Arbiter, specification: TaskSpecification) -> None:
    arbiter.set_mode(Mode.POLICY, START)
    limit, epoch = specification.timing.missed_limit, arbiter.epoch
    for tick in range(limit - 1):
        feed(arbiter, tick)
    assert arbiter.armed
    feed(arbiter, limit - 1)
    assert not arbiter.armed
    assert arbiter.epoch == epoch + 1
    assert "no chunk step" in arbiter.stop_reason
    assert "no chunk step" in arbiter.waiting_for()


def test_misses_that_are_not_in_a_row_do_not_disarm(
    arbiter: Arbiter, specification: TaskSpecification
) -> None:
    arbiter.set_mode(Mode.POLICY, START)
    for tick in range(4 * specification.timing.missed_limit):
        if tick % 3 == 0:
            arbiter.observe(START + tick * DT, robot_at())
            one_step = chunk(arbiter, constant(action(0.0)), START + tick * DT)
            arbiter.accept_chunk(one_step)
        if tick % 3 == 1:
            arbiter.accept_chunk(chunk(arbiter, np.full((16, A), np.nan), START + tick * DT))
        feed(arbiter, tick)
    assert arbiter.armed
    assert arbiter.counts["missed"] > specification.timing.missed_limit


def test_a_tick_that_was_slept_through_counts_as_held_and_missed(arbiter: Arbiter) -> None:
    begin_policy(arbiter, action(0.1))
    command = arbiter.skipped(START)
    assert is_hold_of(command, robot_at())
    assert command is not None and command.missed
