import dataclasses

import mujoco
import numpy as np
import pytest
from scissors_episode import measured, run_episode

from soft_flow_contract.task_specification import TaskSpecification
from soft_flow_sim.domain_parameters import NOMINAL, SHIFTED, DomainParameters
from soft_flow_sim.scissors_operator import ScissorsOperator
from soft_flow_sim.scissors_task import SCISSORS_POSITION_RANGE, SCISSORS_YAW_RANGE, ScissorsTask
from soft_flow_sim.scissors_world import CASE_NOMINAL


@pytest.fixture(scope="module")
def task(specification: TaskSpecification) -> ScissorsTask:
    return ScissorsTask(specification, render=True)


def test_the_same_seed_gives_the_same_trajectory_bit_for_bit(
    task: ScissorsTask, specification: TaskSpecification
) -> None:
    def trajectory(of: ScissorsTask) -> list[bytes]:
        states: list[bytes] = []

        def note(task: ScissorsTask) -> bool:
            states.append(task.data.qpos.tobytes())
            return len(states) > 90

        run_episode(of, 3, ScissorsOperator(specification), until=note)
        return states

    first = trajectory(task)
    run_episode(task, 4, ScissorsOperator(specification), until=lambda task: task.assist.engaged)
    assert trajectory(task) == first
    assert trajectory(ScissorsTask(specification, render=False)) == first


def test_scissors_and_case_lie_together_within_their_range(task: ScissorsTask) -> None:
    places = []
    for seed in range(40):
        task.reset(seed)
        state = task.privileged_state()
        case = task.data.body("case")
        offset = case.xpos - CASE_NOMINAL
        yaw = np.arctan2(case.xmat[3], case.xmat[0])
        assert np.abs(offset[:2]).max() <= SCISSORS_POSITION_RANGE
        assert abs(yaw) <= SCISSORS_YAW_RANGE
        assert abs(state["scissors_yaw"] - yaw) < 0.05
        grip = np.array([state["grip_x"], state["grip_y"]])
        assert np.linalg.norm(grip - case.xpos[:2]) < 0.025
        places.append([*offset[:2], yaw])
    assert (np.std(places, axis=0) > [0.01, 0.01, 0.08]).all()


def test_scissors_stay_in_their_case_when_nobody_touches_them(task: ScissorsTask) -> None:
    task.reset(5)
    before = task.privileged_state()
    for _ in range(20):
        task.advance(0.05)
        outcome = task.count_tick()
    after = task.privileged_state()
    moved = [abs(after[f"grip_{axis}"] - before[f"grip_{axis}"]) for axis in "xyz"]
    assert max(moved) < 0.003
    assert not outcome.grasped
    assert not outcome.finished


def test_the_flange_goes_where_it_is_told(task: ScissorsTask) -> None:
    task.reset(0)
    start = measured(task)
    goal = start.flange_in_base.moved(np.array([0.03, 0.02, -0.02]), np.array([0.0, 0.0, 0.2]))
    for _ in range(20):
        task.apply_command(goal.position, goal.quaternion, start.hand)
        task.advance(0.05)
    translation, rotation = measured(task).flange_in_base.change_to(goal)
    assert np.linalg.norm(translation) < 0.003
    assert np.linalg.norm(rotation) < 0.02


def test_a_command_that_is_not_finite_is_refused(task: ScissorsTask) -> None:
    task.reset(0)
    with pytest.raises(ValueError, match="hand_target should be 17 finite numbers"):
        task.apply_command(np.zeros(3), np.array([0.0, 0.0, 0.0, 1.0]), np.full(17, np.nan))


def test_phases_of_25_ms_add_up_to_ticks_of_25_steps(task: ScissorsTask) -> None:
    task.reset(0)
    for _ in range(8):
        task.advance(0.025)
    assert task.data.time == pytest.approx(0.2, abs=1e-9)


def test_a_world_that_diverges_ends_as_invalid_and_says_why(task: ScissorsTask) -> None:
    task.reset(0)
    task.data.qvel[task.model.joint("arm/fr3_joint4").dofadr[0]] = 1e12
    task.advance(0.05)
    outcome = task.count_tick()
    assert not outcome.valid
    assert outcome.finished
    assert not outcome.success
    assert "diverged" in outcome.reason
    stuck = task.data.qpos.copy()
    task.advance(0.05)
    np.testing.assert_array_equal(task.data.qpos, stuck)
    task.reset(0)
    task.advance(0.05)
    assert task.count_tick().valid


def test_an_episode_is_truncated_at_its_last_step(specification: TaskSpecification) -> None:
    rules = specification.episode.model_copy(update={"max_steps": 3})
    task = ScissorsTask(specification.model_copy(update={"episode": rules}), render=False)
    task.reset(0)
    ends = []
    for _ in range(3):
        task.advance(0.05)
        ends.append(task.count_tick().truncated)
    assert ends == [False, False, True]
    assert task.outcome().reason == "time limit"


def test_every_camera_gives_its_own_picture_of_the_right_size(task: ScissorsTask) -> None:
    task.reset(1)
    pictures = {camera.name: task.render(camera.name) for camera in task.specification.observation.cameras}
    for camera in task.specification.observation.cameras:
        assert pictures[camera.name].shape == (camera.height, camera.width, 3)
        assert pictures[camera.name].dtype == np.uint8
        assert pictures[camera.name].std() > 20
    assert len({picture.tobytes() for picture in pictures.values()}) == len(pictures)
    orange = np.abs(pictures["wrist_palm"].astype(int) - (237, 92, 20)).max(axis=2) < 60
    assert orange.sum() > 20  # the palm's camera sees the handles from the start


def test_an_unknown_camera_is_refused_by_name(task: ScissorsTask) -> None:
    with pytest.raises(ValueError, match="unknown camera 'front'"):
        task.render("front")


def test_a_task_without_rendering_says_how_to_get_images(specification: TaskSpecification) -> None:
    with pytest.raises(RuntimeError, match="render=True"):
        ScissorsTask(specification, render=False).render("external")


def test_every_physical_and_visual_parameter_of_the_shifted_domain_differs_from_nominal() -> None:
    nominal, shifted = dataclasses.asdict(NOMINAL), dataclasses.asdict(SHIFTED)
    assert [name for name in nominal if nominal[name] == shifted[name]] == ["start_spread"]


def test_the_shifted_world_moves_and_looks_different(
    task: ScissorsTask, specification: TaskSpecification
) -> None:
    shifted = ScissorsTask(specification, SHIFTED)
    worlds = {}
    for of in (task, shifted):
        of.reset(2)
        start = of.state()
        of.apply_command(
            start.flange_position + [0.0, 0.0, 0.03], start.flange_quaternion, start.hand_position
        )
        of.advance(0.05)
        worlds[of.domain.name] = (of.data.site("arm/flange").xpos[2], of.render("external").mean())
    # Delay and softer servos lag behind; the light is dimmer.
    assert worlds["shifted"][0] < worlds["nominal"][0]
    assert worlds["shifted"][1] < worlds["nominal"][1] - 5
    mass = [mujoco.mj_getTotalmass(of.model) for of in (task, shifted)]
    assert mass[1] > mass[0]


def test_senseless_domain_parameters_are_refused() -> None:
    with pytest.raises(ValueError, match="scissors_mass_scale must be positive"):
        DomainParameters(scissors_mass_scale=0.0)
