"""A robot that is told to hold is not led back to where it was measured while it moved."""

from pathlib import Path

import numpy as np
import pytest
from arbiter_maker import (
    DT,
    SPECIFICATION,
    START,
    action,
    begin_policy,
    is_hold_of,
    robot_at,
)

from soft_flow_contract.robot_cell import RobotCell
from soft_flow_episode.arbiter import Arbiter
from soft_flow_episode.command import Command, Mode
from soft_flow_episode.emergency_latch import EmergencyLatch
from soft_flow_episode.target_anchor import REST_S, TargetAnchor

CELL = RobotCell.load(Path(__file__).parents[3] / "config" / "robots" / "protocol_sim.yaml")
REST_TICKS = round(REST_S * 1e9) // DT
PROBLEM = "the arm's driver: reflex"


@pytest.fixture
def driven(latch_file: Path) -> Arbiter:
    """An arbiter of a cell with drivers."""
    return Arbiter(SPECIFICATION, EmergencyLatch(latch_file), CELL)


def answer(arbiter: Arbiter, tick: int, x: float) -> Command:
    arbiter.observe(START + tick * DT, robot_at(x))
    command = arbiter.answer(START + tick * DT, at_deadline=True)
    assert command is not None
    return command


def stop(arbiter: Arbiter, how: str) -> None:
    if how == "driver":
        assert arbiter.note_drivers(PROBLEM)
    else:
        arbiter.set_mode(Mode.HOLD, 0)


@pytest.mark.parametrize("how", ["driver", "hold"])
def test_the_last_target_is_held_until_the_robot_stands_and_then_the_robot(driven: Arbiter, how: str) -> None:
    begin_policy(driven, action(1.0), robot_at(0.5))
    moving = driven.answer(START, at_deadline=False)
    assert moving is not None and not moving.held
    stop(driven, how)
    for tick in range(1, REST_TICKS):
        assert is_hold_of(answer(driven, tick, 0.501), moving.target)
    assert is_hold_of(answer(driven, REST_TICKS, 0.502), robot_at(0.502))
    assert is_hold_of(answer(driven, REST_TICKS + 1, 0.503), robot_at(0.502))


def test_a_target_far_ahead_of_a_moving_arm_is_no_reason_to_lead_it_back(driven: Arbiter) -> None:
    begin_policy(driven, action(1.0), robot_at(0.5))
    moving = driven.answer(START, at_deadline=False)
    assert moving is not None
    stop(driven, "driver")
    behind = 0.5 - 2 * SPECIFICATION.limits.max_target_lead
    assert is_hold_of(answer(driven, 1, behind), moving.target)
    assert is_hold_of(answer(driven, REST_TICKS, behind), robot_at(behind))


def test_after_a_drivers_recovery_the_robot_is_held_where_it_is_then(driven: Arbiter) -> None:
    begin_policy(driven, action(1.0), robot_at(0.5))
    stop(driven, "driver")
    answer(driven, REST_TICKS, 0.5)
    assert is_hold_of(answer(driven, REST_TICKS + 1, 0.49), robot_at(0.5))
    driven.note_drivers("")
    assert is_hold_of(answer(driven, REST_TICKS + 2, 0.49), robot_at(0.49))


def test_the_emergency_stop_lets_go_of_the_target_at_once(driven: Arbiter) -> None:
    begin_policy(driven, action(1.0), robot_at(0.5))
    driven.emergency_stop("test")
    assert is_hold_of(answer(driven, 1, 0.495), robot_at(0.495))


def test_a_simulated_robot_without_drivers_is_held_where_it_was_measured(arbiter: Arbiter) -> None:
    begin_policy(arbiter, action(1.0), robot_at(0.5))
    stop(arbiter, "hold")
    assert is_hold_of(answer(arbiter, 1, 0.495), robot_at(0.495))


def test_an_epoch_anchors_until_it_has_started() -> None:
    anchor, target = TargetAnchor(max_lead=0.1, rest_s=REST_S), robot_at()
    anchor.hold(0, START)
    anchor.begin(START + 2 * DT)
    taken = [anchor.takes(START + tick * DT, target, robot_at(0.45), idle=False) for tick in range(5)]
    assert taken == [True, True, True, False, False]
    assert not anchor.due


def test_only_an_idle_robot_may_be_moved_by_something_else() -> None:
    anchor = TargetAnchor(max_lead=0.1, rest_s=REST_S)
    anchor.begin(0)
    assert anchor.takes(0, None, robot_at(), idle=True)
    far = robot_at(0.5 + np.float64(0.2))
    assert not anchor.takes(DT, robot_at(), far, idle=False)
    assert anchor.takes(2 * DT, robot_at(), far, idle=True)
