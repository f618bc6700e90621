import numpy as np
import pytest
from scissors_episode import run_episode

from soft_flow_contract.task_specification import TaskSpecification
from soft_flow_sim.grasp_assist import GraspAssistParameters
from soft_flow_sim.hand_poses import GRASP_PIP
from soft_flow_sim.scissors_operator import ScissorsOperator
from soft_flow_sim.scissors_task import ScissorsTask
from soft_flow_sim.scissors_world import SQUEEZE_TORQUE


@pytest.fixture(scope="module")
def task(specification: TaskSpecification) -> ScissorsTask:
    return ScissorsTask(specification, render=False)


@pytest.fixture
def operator(specification: TaskSpecification) -> ScissorsOperator:
    return ScissorsOperator(specification, misjudges=False)


def test_a_well_placed_hand_engages_only_when_it_closes(
    task: ScissorsTask, operator: ScissorsOperator
) -> None:
    episode = run_episode(task, 0, operator, until=lambda task: task.assist.engaged)
    assert task.assist.engaged
    limits = GraspAssistParameters()
    placed = [state for state in episode.states if state["grip_error"] < limits.position_tolerance]
    assert placed  # the hand was there before it closed
    assert all(state["assist_engaged"] == 0.0 for state in placed)
    assert all(state["hand_closure"] < limits.engage_closure for state in placed)


def test_without_the_assist_the_same_actions_do_not_weld(
    task: ScissorsTask, operator: ScissorsOperator
) -> None:
    with_assist = run_episode(task, 0, operator)
    without = run_episode(task, 0, actions=with_assist.actions, assist=False)
    assert with_assist.outcome.success
    assert not task.assist.engaged
    assert not without.outcome.success
    assert task.privileged_state()["assist_enabled"] == 0.0


def test_a_hand_that_closed_beside_the_scissors_cannot_catch_up(
    task: ScissorsTask, operator: ScissorsOperator
) -> None:
    task.reset(0, True)
    assist, data = task.assist, task.data
    flexors = assist._flexion_address
    data.qpos[flexors] = 0.9  # closed far from the scissors
    assist.update(data)
    assert not assist.engaged
    run_episode(task, 0, operator, until=lambda task: task.assist.engaged)
    data.eq_active[assist._weld] = 0
    assist.engaged = False
    assist.update(data)  # still closed, still in place
    assert not assist.engaged


def test_opening_the_hand_lets_go(task: ScissorsTask, operator: ScissorsOperator) -> None:
    run_episode(task, 1, operator, until=lambda task: task.assist.engaged)
    state = task.state()
    for _ in range(20):
        task.apply_command(state.flange_position, state.flange_quaternion, np.zeros(17))
        task.advance(0.05)
    assert not task.assist.engaged
    assert not task.assist.broken


def test_the_weld_gives_way_to_force(task: ScissorsTask, operator: ScissorsOperator) -> None:
    run_episode(task, 1, operator, until=lambda task: bool(task.outcome().grasped))
    assert task.assist.engaged
    task.data.body("scissors").xfrc_applied[:3] = [0.0, 0.0, -2 * GraspAssistParameters().break_force]
    task.advance(0.05)
    task.data.body("scissors").xfrc_applied[:] = 0.0
    assert not task.assist.engaged
    assert task.assist.broken


def test_squeezing_is_bounded_and_does_nothing_without_a_grasp(task: ScissorsTask) -> None:
    task.reset(0, True)
    task.data.ctrl[task.assist._pip_actuators] = GRASP_PIP + 10.0
    assert task.assist.squeeze(task.data) == 1.0
    task.assist.update(task.data)
    assert task.data.actuator("squeeze").ctrl[0] == 0.0
    assert task.model.actuator("squeeze").ctrlrange[1] == SQUEEZE_TORQUE
