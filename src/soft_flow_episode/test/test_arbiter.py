"""What the arbiter lets through. One tick is 50 ms; the first is 1 s."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from soft_flow_contract.action_space import RobotTarget
from soft_flow_contract.pose import Pose
from soft_flow_contract.task_specification import TaskSpecification
from soft_flow_episode.arbiter import Arbiter, ModeRefusedError
from soft_flow_episode.chunk_player import Chunk
from soft_flow_episode.command import Command, Mode, OperatorAction, Source
from soft_flow_episode.emergency_latch import EmergencyLatch

DT = 50_000_000
START = 20 * DT
DOWN = np.array([1.0, 0.0, 0.0, 0.0])
A = 23


def robot_at(x: float = 0.5, y: float = 0.0, z: float = 0.4, hand: float = 0.0) -> RobotTarget:
    return RobotTarget(Pose(np.array([x, y, z]), DOWN), np.full(17, hand))


def action(arm: float = 0.0, hand: np.ndarray | None = None, axis: int = 0) -> np.ndarray:
    values = np.zeros(A)
    values[axis] = arm
    values[6:] = NEUTRAL if hand is None else hand
    return values


NEUTRAL = np.zeros(17)  # set by `arbiter` to the contract values of a hand at 0 rad


@pytest.fixture
def latch_file(tmp_path: Path) -> Path:
    return tmp_path / "latch.json"


@pytest.fixture
def make_arbiter(specification: TaskSpecification, latch_file: Path) -> Callable[[], Arbiter]:
    def make() -> Arbiter:
        arbiter = Arbiter(specification, EmergencyLatch(latch_file))
        joints = specification.action.hand
        NEUTRAL[:] = [2 * (0 - joint.low) / (joint.high - joint.low) - 1 for joint in joints]
        return arbiter

    return make


@pytest.fixture
def arbiter(make_arbiter: Callable[[], Arbiter]) -> Arbiter:
    return make_arbiter()


def chunk(arbiter: Arbiter, actions: np.ndarray, stamp_ns: int = START, epoch: int | None = None) -> Chunk:
    return Chunk(stamp_ns, 5, 3, arbiter.epoch if epoch is None else epoch, actions)


def constant(values: np.ndarray, length: int = 16) -> np.ndarray:
    return np.tile(values, (length, 1))


def begin_policy(arbiter: Arbiter, values: np.ndarray, robot: RobotTarget | None = None) -> None:
    arbiter.set_mode(Mode.POLICY, START)
    arbiter.observe(START, robot or robot_at())
    assert arbiter.accept_chunk(chunk(arbiter, constant(values))) == ""


def begin_teleop(arbiter: Arbiter) -> None:
    arbiter.set_mode(Mode.TELEOP, START)
    arbiter.observe(START, robot_at())


def operate(arbiter: Arbiter, values: np.ndarray, deadman: bool = True, scripted: bool = False) -> Command:
    arbiter.accept_operator(OperatorAction(START, values, deadman, scripted))
    command = arbiter.answer(START, at_deadline=False)
    assert command is not None
    return command


def is_hold_of(command: Command | None, robot: RobotTarget) -> bool:
    assert command is not None
    target = command.target
    return (
        command.held
        and command.source is Source.HOLD
        and np.array_equal(target.flange_in_base.position, robot.flange_in_base.position)
        and np.array_equal(target.hand, robot.hand)
        and np.allclose(command.executed[:6], 0)
    )


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


# Deadlines, staleness


def test_a_missed_deadline_is_held_and_flagged(arbiter: Arbiter) -> None:
    arbiter.set_mode(Mode.POLICY, START)
    arbiter.observe(START, robot_at())
    arbiter.accept_heartbeat(START, True)
    command = arbiter.answer(START, at_deadline=True)
    assert is_hold_of(command, robot_at())
    assert command is not None and command.missed


def feed(arbiter: Arbiter, tick: int, observed: bool = True, heard: bool = True) -> Command:
    stamp_ns = START + tick * DT
    if observed:
        arbiter.observe(stamp_ns, robot_at())
    if heard:
        arbiter.accept_heartbeat(stamp_ns, True)
    command = arbiter.answer(stamp_ns, at_deadline=True)
    assert command is not None
    return command


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


def test_the_emergency_stop_survives_a_restart(make_arbiter: Callable[[], Arbiter]) -> None:
    make_arbiter().emergency_stop("test")
    again = make_arbiter()
    assert again.emergency_stopped
    with pytest.raises(ModeRefusedError):
        again.set_mode(Mode.TELEOP, 0)
    again.emergency_reset()
    assert not make_arbiter().emergency_stopped
