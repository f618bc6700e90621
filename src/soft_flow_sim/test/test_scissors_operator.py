from collections import Counter

import numpy as np
import pytest
from scissors_episode import run_episode

from soft_flow_contract.task_specification import TaskSpecification
from soft_flow_sim.grasp_assist import GraspAssistParameters
from soft_flow_sim.minimum_jerk import minimum_jerk
from soft_flow_sim.operator_style import draw_style
from soft_flow_sim.scissors_operator import ScissorsOperator
from soft_flow_sim.scissors_task import ScissorsTask

# Together these show both approaches, both sides of the strand and all choices of fingers.
SEEDS = (1, 2, 7, 10)


@pytest.fixture(scope="module")
def task(specification: TaskSpecification) -> ScissorsTask:
    return ScissorsTask(specification, render=False)


def test_a_careful_operator_cuts_the_tape_in_every_mode(
    task: ScissorsTask, specification: TaskSpecification
) -> None:
    operator = ScissorsOperator(specification, misjudges=False)
    modes = set()
    for seed in SEEDS:
        episode = run_episode(task, seed, operator)
        modes |= {operator.style.approach, operator.style.fingers, operator.style.strand_side}
        assert episode.outcome.success, (seed, episode.outcome)
        assert episode.outcome.grasped
        assert episode.outcome.reward == 1.0
        assert episode.clamped == 0  # what it means is what is executed
        assert 120 <= len(episode.actions) <= 180
    assert modes == {"above", "side", "all", "index_out", "thumb_last", 1, -1}


def test_the_same_seed_gives_the_same_actions(task: ScissorsTask, specification: TaskSpecification) -> None:
    episodes = [
        run_episode(task, 7, ScissorsOperator(specification), until=lambda task: task.data.time > 2.0)
        for _ in range(2)
    ]
    np.testing.assert_array_equal(episodes[0].actions, episodes[1].actions)


def test_six_in_ten_episodes_are_judged_well_enough_to_cut() -> None:
    styles = [draw_style(seed) for seed in range(4000)]
    tolerance = GraspAssistParameters().position_tolerance
    grips = np.array([np.abs(style.grip_error).max() < tolerance for style in styles])
    cuts = np.array([np.abs(style.cut_error).max() < 0.015 for style in styles])
    assert 0.70 < grips.mean() < 0.78
    assert 0.57 < (grips & cuts).mean() < 0.68


def test_misjudgements_are_what_makes_an_operator_fail(
    task: ScissorsTask, specification: TaskSpecification
) -> None:
    tolerance = GraspAssistParameters().position_tolerance
    seed = next(seed for seed in range(100) if np.abs(draw_style(seed).grip_error).max() > tolerance)
    assert not run_episode(task, seed, ScissorsOperator(specification)).outcome.grasped
    assert run_episode(task, seed, ScissorsOperator(specification, misjudges=False)).outcome.grasped


def test_modes_are_drawn_about_equally_often() -> None:
    styles = [draw_style(seed) for seed in range(600)]
    assert 250 < Counter(style.approach for style in styles)["above"] < 350
    assert 250 < Counter(style.strand_side for style in styles)[1] < 350
    assert min(Counter(style.fingers for style in styles).values()) > 140


def test_one_episodes_actions_seldom_grasp_in_other_worlds(
    task: ScissorsTask, specification: TaskSpecification
) -> None:
    actions = run_episode(task, 0, ScissorsOperator(specification, misjudges=False)).actions
    grasps = [run_episode(task, seed, actions=actions[:115]).outcome.grasped for seed in range(100, 108)]
    assert sum(grasps) <= 2


def test_its_commands_are_smooth(task: ScissorsTask, specification: TaskSpecification) -> None:
    actions = np.array(run_episode(task, 2, ScissorsOperator(specification, misjudges=False)).actions)
    # Deltas are velocities already: their difference from tick to tick is small against their range.
    assert np.abs(np.diff(actions[:, :6], axis=0)).max() < 0.45
    assert np.sqrt(np.mean(np.diff(actions[:, 6:], n=2, axis=0) ** 2)) < 0.05


def test_minimum_jerk_starts_and_ends_at_rest() -> None:
    step = 1e-4
    for end, inside in ((0.0, step), (1.0, 1.0 - step)):
        slope = (minimum_jerk(end) - minimum_jerk(inside)) / (end - inside)
        assert abs(slope) < 1e-6
    assert minimum_jerk(0.5) == pytest.approx(0.5)
    assert minimum_jerk(-1.0) == 0.0
    assert minimum_jerk(2.0) == 1.0
