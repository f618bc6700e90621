"""The way to the start: the hand opens, the flange rises, then travels."""

import numpy as np
import pytest
from arbiter_maker import SPECIFICATION, robot_at

from soft_flow_contract.action_space import RobotTarget
from soft_flow_contract.robot_cell import Placement, Start
from soft_flow_episode.start_approach import StartApproach

DT = 0.05
START = Start(
    flange=Placement(position=(0.45, -0.2, 0.5), quaternion=(1.0, 0.0, 0.0, 0.0)),
    hand={"index_mcp": 0.2},
    speed=0.2,
    turn=0.5,
)


def approach() -> StartApproach:
    return StartApproach(START, SPECIFICATION.hand_joint_names, DT)


def path(way: StartApproach, current: RobotTarget, ticks: int = 400) -> list[RobotTarget]:
    targets = [current]
    for _ in range(ticks):
        targets.append(way.following(targets[-1]))
    return targets


def test_it_arrives_at_the_start_and_stays_there() -> None:
    way = approach()
    targets = path(way, robot_at(0.6, 0.1, 0.1, hand=0.8))
    end = way.distance(targets[-1])
    assert end.flange < 1e-6 and end.angle < 1e-6 and end.hand < 1e-6
    np.testing.assert_array_equal(targets[-1].flange_in_base.position, targets[-2].flange_in_base.position)


def test_no_tick_moves_farther_than_the_cell_says() -> None:
    targets = path(approach(), robot_at(0.6, 0.1, 0.1, hand=0.8))
    for before, after in zip(targets, targets[1:], strict=False):
        translation, rotation = before.flange_in_base.change_to(after.flange_in_base)
        assert np.linalg.norm(translation) <= START.speed * DT + 1e-9
        assert np.linalg.norm(rotation) <= START.turn * DT + 1e-9
        assert np.max(np.abs(after.hand - before.hand)) <= START.turn * DT + 1e-9


def test_it_opens_the_hand_before_it_rises_and_rises_before_it_travels() -> None:
    first = robot_at(0.6, 0.1, 0.1, hand=0.8)
    opened = risen = False
    for before, after in zip(path(approach(), first), path(approach(), first)[1:], strict=False):
        moved = after.flange_in_base.position - before.flange_in_base.position
        opened = opened or np.allclose(before.hand, approach().start.hand)
        risen = risen or before.flange_in_base.position[2] >= 0.5 - 1e-6
        assert opened or not np.any(moved)
        assert risen or not np.any(moved[:2])


def test_one_that_gets_no_nearer_is_given_up_and_says_what_is_left() -> None:
    way, blocked = approach(), robot_at(0.6, 0.1, 0.1)
    for _ in range(100):
        assert not way.judge(blocked)
    assert "no progress towards the start" in way.problem
    way.begin()
    assert way.problem == ""


def test_one_that_gets_nearer_slowly_is_not_given_up() -> None:
    way = approach()
    for step in range(200):
        way.judge(robot_at(0.6, 0.1, 0.1 + 0.0021 * min(step, 190)))
        assert way.problem == ""


def test_within_tolerance_it_is_there() -> None:
    way = approach()
    assert way.judge(
        RobotTarget(way.start.flange_in_base.moved(np.full(3, 0.005), np.zeros(3)), way.start.hand)
    )


def test_a_joint_that_the_hand_does_not_have_is_refused_by_name() -> None:
    wrong = START.model_copy(update={"hand": {"sixth_finger": 0.1}})
    with pytest.raises(ValueError, match="sixth_finger"):
        StartApproach(wrong, SPECIFICATION.hand_joint_names, DT)
