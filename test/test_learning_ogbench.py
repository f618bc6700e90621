"""OGBench's environments as learning tasks. What needs OGBench is skipped where it is not installed."""

import importlib.util
import re
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pytest

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "benchmarks"))

import learning_ogbench
from learning import ogbench_packages
from learning.closed_loop import Recording
from learning.tasks import OGBENCH, make_task

from soft_flow_contract.task_specification import TaskSpecification
from soft_flow_learner.errors import LearnerError

if TYPE_CHECKING:
    from learning.ogbench_state import OgbenchTask
    from learning.ogbench_world import OgbenchWorld

ROOT = Path(__file__).resolve().parents[1]
MISSING = [name for name in ogbench_packages.MODULES if importlib.util.find_spec(name) is None]
needs_ogbench = pytest.mark.skipif(
    bool(MISSING),
    reason=f"{', '.join(MISSING)} missing: pip install --no-deps -r requirements/benchmarks.txt",
)


# -- the optional packages -----------------------------------------------------------------------------------


def test_what_is_missing_is_named_with_the_command_that_installs_it(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(ogbench_packages, "find_spec", lambda name: None if name == "lxml" else object())
    with pytest.raises(LearnerError, match=r"lxml missing") as refusal:
        ogbench_packages.require_ogbench()
    command = str(refusal.value).splitlines()[-1].split()
    assert command[:6] == [sys.executable, "-m", "pip", "install", "--no-deps", "-r"]
    assert Path(command[6]).is_file()
    assert learning_ogbench.main(["--task", "scene"]) == 1
    assert "lxml missing" in capsys.readouterr().err


def test_the_optional_packages_are_pinned_and_change_nothing_that_set_up_installs() -> None:
    lines = ogbench_packages.REQUIREMENTS.read_text(encoding="utf-8").splitlines()
    pins = [line for line in lines if not line.startswith("#")]
    constraints = (ROOT / "constraints.txt").read_text(encoding="utf-8")
    for pin in pins:
        name = re.fullmatch(r"([A-Za-z0-9_.-]+)==[0-9][0-9.]*", pin)
        assert name, pin
        assert f"\n{name[1].replace('_', '-')}==" not in constraints
    assert len(pins) == len(ogbench_packages.MODULES)


def test_a_folder_holds_the_experiments_of_one_task(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        learning_ogbench.main(["--output", "somewhere"])
    assert "--task" in capsys.readouterr().err


# -- the tasks -----------------------------------------------------------------------------------------------


@pytest.fixture(scope="module", params=OGBENCH)
def task(request: pytest.FixtureRequest) -> "OgbenchTask":
    return make_task(request.param)


@pytest.fixture(scope="module")
def world(task: "OgbenchTask") -> "OgbenchWorld":
    return task.worlds(1, fixed_start=False)[0]


def episode(world: "OgbenchWorld", start: int, actions: np.ndarray) -> np.ndarray:
    """All observations of an episode from `start`."""
    recording = Recording(start, [world.reset(start)])
    for action in actions:
        recording.add(world.step(action))
    return np.stack(recording.observations)


@needs_ogbench
def test_a_start_gives_the_same_episode_bit_for_bit_whatever_was_played_before(
    world: "OgbenchWorld",
) -> None:
    actions = np.random.default_rng(0).uniform(-1, 1, (25, 5))
    first = episode(world, 7, actions)
    other = episode(world, 8, actions)
    np.testing.assert_array_equal(episode(world, 7, actions), first)
    assert not np.array_equal(other, first)


@needs_ogbench
def test_the_specification_names_every_number_and_survives_being_written(
    task: "OgbenchTask", world: "OgbenchWorld"
) -> None:
    specification = task.specification
    observation = world.reset(0)
    assert observation.shape == (specification.proprioception_dimension,)
    for field in specification.observation.proprioception:
        values = observation[specification.proprioception_slices[field.name]]
        assert (values >= field.low).all() and (values <= field.high).all(), field.name
    again = TaskSpecification.from_mapping(specification.model_dump(mode="json"), "again")
    assert again.hash == specification.hash


@needs_ogbench
def test_an_operator_without_noise_and_distraction_succeeds_and_success_is_rewarded_once(
    task: "OgbenchTask", world: "OgbenchWorld"
) -> None:
    from learning.ogbench_operator import Habits, Operator

    operator = Operator(world.environment, Habits(noise=0.0, distraction=0.0), task.next_move)
    recording = Recording(3, [world.reset(3)])
    operator.reset(3)
    while not recording.over:
        recording.add(world.step(operator.act(world.info)))
    assert recording.reached("success")
    assert [tick.reward for tick in recording.ticks] == [0.0] * (len(recording.ticks) - 1) + [1.0]
    assert recording.ticks[-1].terminal and not recording.ticks[-1].truncated


@needs_ogbench
def test_an_episode_without_success_is_truncated_at_its_limit_and_not_terminal(world: "OgbenchWorld") -> None:
    from learning.ogbench_world import OgbenchWorld

    short = OgbenchWorld(world.environment, max_steps=3)
    short.reset(0)
    ticks = [short.step(np.zeros(5)) for _ in range(3)]
    assert [tick.truncated for tick in ticks] == [False, False, True]
    assert not any(tick.terminal for tick in ticks)


@needs_ogbench
def test_the_chance_of_an_operator_follows_from_its_seed_and_leaves_the_global_one_alone(
    task: "OgbenchTask", world: "OgbenchWorld"
) -> None:
    from learning.ogbench_operator import Operator

    operator = Operator(world.environment, task.habits, task.next_move)
    plans = []
    for seed in (5, 6, 5):
        np.random.seed(seed + len(plans))
        untouched = np.random.get_state()[1]
        world.reset(1)
        operator.reset(seed)
        plans.append(np.stack([operator.act(world.info) for _ in range(3)]))
        np.testing.assert_array_equal(np.random.get_state()[1], untouched)
    np.testing.assert_array_equal(plans[0], plans[2])
    assert not np.array_equal(plans[0], plans[1])
