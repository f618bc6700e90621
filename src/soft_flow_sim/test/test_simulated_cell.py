import numpy as np
import pytest
from tiny_world import TinyWorld

from soft_flow_contract.action_space import RobotTarget
from soft_flow_contract.pose import Pose
from soft_flow_contract.task_specification import TaskSpecification
from soft_flow_sim.simulated_cell import SECOND, SimulatedCell, TickCommands, next_start

DT = 50_000_000
TARGET = RobotTarget(Pose(np.array([0.5, 0, 0.3]), np.array([0, 0, 0, 1.0])), np.zeros(17))


@pytest.fixture
def cell(specification: TaskSpecification) -> SimulatedCell:
    return SimulatedCell(TinyWorld(specification), specification)


@pytest.mark.parametrize(
    ("stamp", "start"), [(0, 1), (1, 2), (SECOND, 2), (SECOND + DT, 3), (2 * SECOND - DT, 3)]
)
def test_an_episode_starts_at_the_next_whole_second_that_is_at_least_one_second_ahead(
    stamp: int, start: int
) -> None:
    assert next_start(stamp) == start * SECOND


def test_a_start_before_the_last_tick_or_between_ticks_is_refused(cell: SimulatedCell) -> None:
    cell.reset(1, "a", True, 20 * DT)
    for start in (19 * DT, 20 * DT + 1):
        with pytest.raises(ValueError, match="start"):
            cell.reset(1, "b", True, start)


def test_a_command_takes_effect_at_the_phase_and_the_tick_ends_dt_after_it_began(cell: SimulatedCell) -> None:
    cell.reset(3, "a", False, 20 * DT)
    outcome = cell.finish_tick(TARGET)
    assert cell.task.log == [
        ("reset", 3, False),
        ("advance", 0.025),
        ("command", (0.5, 0.0, 0.3)),
        ("advance", 0.025),
    ]
    assert outcome is not None and outcome.stamp_ns == cell.stamp_ns == 21 * DT
    assert outcome.flags == {"grasped": False, "cut": False} and not outcome.final


def test_simulating_to_the_phase_twice_simulates_once(cell: SimulatedCell) -> None:
    cell.reset(0, "a", True, DT)
    cell.advance_to_phase()
    cell.advance_to_phase()
    assert cell.task.time == pytest.approx(0.025)


def test_an_emergency_stop_holds_where_the_robot_is_and_ignores_commands(cell: SimulatedCell) -> None:
    cell.reset(5, "a", True, DT)
    cell.emergency_stopped = True
    cell.finish_tick(TARGET)
    np.testing.assert_allclose(cell.task.flange, [0.4, 0.05, 0.3])
    cell.emergency_stopped = False
    cell.finish_tick(TARGET)
    np.testing.assert_allclose(cell.task.flange, [0.5, 0, 0.3])


def test_a_finished_episode_has_no_further_outcomes(specification: TaskSpecification) -> None:
    cell = SimulatedCell(TinyWorld(specification, cut_at=2), specification)
    cell.reset(0, "a", True, DT)
    outcomes = [cell.finish_tick(TARGET) for _ in range(3)]
    assert outcomes[1] is not None and outcomes[1].success and outcomes[1].final and outcomes[1].reward == 1
    assert outcomes[2] is None


def test_a_diverged_world_ends_the_episode_as_invalid_and_stands_until_the_next_reset(
    specification: TaskSpecification,
) -> None:
    cell = SimulatedCell(TinyWorld(specification, diverge_at=1), specification)
    cell.reset(0, "a", True, DT)
    outcome = cell.finish_tick(TARGET)
    assert outcome is not None and not outcome.valid and "diverged" in outcome.reason
    seen = len(cell.task.log)
    cell.finish_tick(TARGET)
    assert cell.broken and len(cell.task.log) == seen
    cell.reset(0, "b", True, 100 * DT)
    assert not cell.broken and cell.running


def test_commands_from_before_the_episode_are_refused_and_older_ones_never_replace_newer_ones() -> None:
    commands = TickCommands()
    commands.clear(start_ns=10 * DT)
    commands.take_arm(9 * DT, TARGET.flange_in_base)
    commands.take_hand(10 * DT, TARGET.hand)
    assert commands.newest() is None and commands.missing(10 * DT) == ["arm"]
    commands.take_arm(11 * DT, TARGET.flange_in_base)
    commands.take_arm(10 * DT, TARGET.flange_in_base)
    assert commands.missing(11 * DT) == ["hand"]
