"""Learning experiments with cameras: who looks when, what is kept, and that a whole one repeats itself."""

import copy
import sys
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "benchmarks"))

from learning.arms import ARMS
from learning.bench import parse_arguments, process_command
from learning.closed_loop import NO_IMAGES, Images, Recording, Tick, policy_act, roll_out
from learning.critic_choice import best_chunk_act
from learning.episode_file import load_episodes, save_episodes
from learning.experiment import Experiment
from learning.experiment_config import load_config
from learning.experiment_folder import ExperimentFolder
from learning.fork import FORK, Fork, ForkDemonstrator, ForkWorld
from learning.learning_task import demonstrations
from learning.tasks import budget_file
from learning_scissors_pixels import BENCH

from soft_flow_contract.task_specification import TaskSpecification
from soft_flow_learner.algorithm.algorithm_config import AlgorithmConfig
from soft_flow_learner.algorithm.soft_flow_algorithm import SoftFlow
from soft_flow_learner.episode import Episode, decode_episode
from soft_flow_learner.training.compute import ALONE, Compute
from soft_flow_policy.policy import FlowPolicy
from soft_flow_policy.policy_config import FlowPolicyConfig

SIZE = 24  # px
SHORT = (
    "demonstrations=12", "policy.flow.blocks=2", "policy.flow.width=8", "imitation.updates=12",
    "imitation.batch=8", "warmup.updates=6", "warmup.batch=8", "offline.updates=6", "offline.batch=8",
    "online.updates=6", "online.batch=8", "rounds=2", "episodes_per_round=3", "starts=4", "save_seconds=1e-9",
    "candidates=2",
)  # fmt: skip


class SeenForkWorld(ForkWorld):
    """The fork, seen from above: a bright pixel where the point is. Counts how often it is looked at."""

    looks = 0

    def look(self) -> Mapping[str, np.ndarray]:
        self.looks += 1
        image = np.full((SIZE, SIZE, 3), 30, dtype=np.uint8)
        row, column = np.clip((self.position + 1) / 2 * SIZE, 0, SIZE - 1).astype(int)
        image[row, column] = 255
        return {"above": image}


class SeenFork(Fork):
    """See `LearningTask`."""

    slots = 2

    def __init__(self) -> None:
        data = copy.deepcopy(FORK)
        camera = {"name": "above", "width": SIZE, "height": SIZE, "encoding": "rgb8"}
        data["observation"]["cameras"] = [camera]  # type: ignore[index]
        self.specification = TaskSpecification.from_mapping(data, "fork")

    def worlds(self, count: int, fixed_start: bool) -> Sequence[SeenForkWorld]:
        return [SeenForkWorld(self.specification.episode.max_steps) for _ in range(count)]

    def demonstrate(self, seeds: Sequence[int]) -> list[Recording]:
        (world,), recordings = self.worlds(1, False), []
        for seed in seeds:
            recording, demonstrator = Recording(seed, [world.reset(seed)]), ForkDemonstrator(seed)
            recording.keep(world.look())
            while not recording.over:
                recording.add(world.step(demonstrator.act(world.position)))
                recording.keep(world.look())
            recordings.append(recording)
        return recordings


class ToldWorld:
    """Observation and image tell the step."""

    def reset(self, seed: int) -> np.ndarray:
        self.step_number, self.length = 0, seed
        return self._observe()

    def step(self, action: np.ndarray) -> Tick:
        self.step_number += 1
        over = self.step_number == self.length
        return Tick(self._observe(), action, 0.0, {"reached": over}, over, False)

    def look(self) -> Images:
        return {"above": np.full((SIZE, SIZE, 3), self.step_number, dtype=np.uint8)}

    def _observe(self) -> np.ndarray:
        return np.full(4, self.step_number, dtype=np.float32)


# -- who looks, and what is kept -----------------------------------------------------------------------------


@pytest.mark.parametrize("keep_images", [False, True])
def test_what_a_policy_sees_belongs_to_what_it_observes(keep_images: bool) -> None:
    seen: list[tuple[list[float], list[int]]] = []

    def act(observations: np.ndarray, noise: np.ndarray, images: Images = NO_IMAGES) -> np.ndarray:
        seen.append((observations[:, 0].tolist(), images["above"][:, 0, 0, 0].tolist()))
        return np.zeros_like(noise[:, 0])

    specification = SeenFork().specification  # executes 4 actions of a chunk
    roll_out([ToldWorld(), ToldWorld()], act, [6, 9, 3], specification, 0, keep_images=keep_images)
    assert all(observed == shown for observed, shown in seen)
    assert [observed for observed, _ in seen] == [[0, 0], [4, 4], [8, 0]]


def test_worlds_are_looked_at_once_a_chunk_or_once_a_step_if_that_is_kept() -> None:
    task = SeenFork()

    def act(observations: np.ndarray, noise: np.ndarray, images: Images = NO_IMAGES) -> np.ndarray:
        return np.zeros_like(noise[:, 0])

    looks = []
    for keep_images in (False, True):
        (world,) = task.worlds(1, False)
        (episode,) = roll_out([world], act, [0], task.specification, 0, keep_images=keep_images)
        assert len(episode.ticks) == 40 and bool(episode.images) is keep_images
        looks.append(world.looks)
    assert looks == [10, 41]


def test_a_task_without_cameras_asks_its_policies_as_ever() -> None:
    def act(observations: np.ndarray, noise: np.ndarray) -> np.ndarray:
        return np.zeros_like(noise[:, 0])

    task = Fork()
    (episode,) = roll_out(task.worlds(1, False), act, [0], task.specification, 0, keep_images=True)
    assert episode.images == {}


def test_images_that_were_kept_come_back_from_the_file_as_they_were(tmp_path: Path) -> None:
    random = np.random.default_rng(0)
    images = random.integers(0, 256, (4, SIZE, SIZE, 3), dtype=np.uint8)
    world, recording = ToldWorld(), Recording(3, [np.zeros(4, dtype=np.float32)])
    world.reset(3)
    recording.keep({"above": images[0]})
    for image in images[1:]:
        recording.add(world.step(np.zeros(2, dtype=np.float32)))
        recording.keep({"above": image})
    save_episodes(tmp_path / "episodes", [recording.episode("it", "reached", "policy")] * 2)
    for loaded in load_episodes(tmp_path / "episodes"):
        episode = decode_episode(loaded.record, SeenFork().specification)
        assert np.array_equal(episode.images["above"], images)


def test_of_a_single_chunk_the_critic_chooses_what_the_policy_would_do_with_these_images() -> None:
    torch.manual_seed(0)
    specification = SeenFork().specification
    policy = FlowPolicy(FlowPolicyConfig(), specification)
    for name, parameter in policy.named_parameters():
        if "head." in name:  # they begin with zeros: a policy that looks at nothing
            torch.nn.init.normal_(parameter, std=0.3)
    random = np.random.default_rng(0)
    observations = random.standard_normal((3, specification.proprioception_dimension)).astype(np.float32)
    noise = random.standard_normal((3, 1, policy.length, policy.dimension)).astype(np.float32)
    images = {"above": random.integers(0, 256, (3, SIZE, SIZE, 3), dtype=np.uint8)}
    chosen = best_chunk_act(SoftFlow(policy, AlgorithmConfig()), 1.0)(observations, noise, images)
    expected = policy_act(policy, 1.0)(observations, noise, images).clip(-1, 1)
    np.testing.assert_allclose(chosen, expected, atol=1e-5)
    others = {"above": images["above"][::-1].copy()}
    assert not np.allclose(policy_act(policy, 1.0)(observations, noise, others).clip(-1, 1), expected)


# -- experiments ---------------------------------------------------------------------------------------------


def run(root: Path, compute: Compute = ALONE) -> dict[str, object]:
    """The result of an experiment, and the weights that act in the end."""
    torch.set_num_threads(1)
    task, arm = SeenFork(), ARMS["soft_flow"]
    config = load_config(budget_file("fork"), "smoke", SHORT)
    episodes: list[Episode] = demonstrations(task, root / "demonstrations", config.demonstrations, 0)
    folder = ExperimentFolder(root / "soft_flow" / "0", {"seed": 0})
    result = Experiment(task, arm, 0, config, folder, episodes, compute).run()
    loaded = folder.load()
    assert loaded is not None
    return {"result": result, "weights": {name: value.numpy() for name, value in loaded[1].items()}}


def same(one: dict[str, object], other: dict[str, object]) -> bool:
    weights, others = one["weights"], other["weights"]
    assert isinstance(weights, dict) and isinstance(others, dict) and weights.keys() == others.keys()
    return one["result"] == other["result"] and all(np.array_equal(weights[k], others[k]) for k in weights)


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> dict[str, object]:
    return run(tmp_path_factory.mktemp("whole"))


def test_the_encoders_learn_in_imitation_and_in_no_later_stage(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    weights: dict[str, np.ndarray] = {}
    save = ExperimentFolder.save

    def noted(self: ExperimentFolder, position, average, work) -> None:  # type: ignore[no-untyped-def]  # noqa: ANN001
        weights[position.stage] = average["encoder.cameras.above.pool.weight"].numpy().copy()
        save(self, position, average, work)

    monkeypatch.setattr(ExperimentFolder, "save", noted)
    run(tmp_path)
    stages = [weights[stage] for stage in ("imitation", "warmup", "offline", "online")]
    assert all(np.array_equal(stages[0], other) for other in stages[1:])


class KilledError(Exception):
    """In place of a signal."""


@pytest.mark.parametrize(
    ("stage", "update"), [("imitation", 7), ("offline", 3), ("online", 4), ("online", 9)]
)
def test_an_experiment_with_cameras_that_was_killed_ends_with_the_same_result(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, whole: dict[str, object], stage: str, update: int
) -> None:
    save = ExperimentFolder.save

    def save_and_die(self: ExperimentFolder, position, average, work) -> None:  # type: ignore[no-untyped-def]  # noqa: ANN001
        save(self, position, average, work)
        if (position.stage, position.update) == (stage, update):
            raise KilledError

    monkeypatch.setattr(ExperimentFolder, "save", save_and_die)
    monkeypatch.setattr("learning.experiment.LOG_INTERVAL", 1)
    with pytest.raises(KilledError):
        run(tmp_path)
    monkeypatch.setattr(ExperimentFolder, "save", save)
    assert same(run(tmp_path), whole)


def test_batches_that_are_made_ready_ahead_change_nothing(tmp_path: Path, whole: dict[str, object]) -> None:
    assert same(run(tmp_path, Compute(prefetch=True)), whole)


def test_products_in_half_precision_reach_the_end(tmp_path: Path) -> None:
    result = run(tmp_path, replace(ALONE, mixed=True, prefetch=True))["result"]
    assert isinstance(result, dict) and set(result["evaluations"]) == {"imitation", "offline", "online"}


def test_processes_of_an_experiment_get_its_device() -> None:
    options = parse_arguments(BENCH, ["--device", "cuda", "--budget", "paper"])
    words = process_command(BENCH, options, seed=3, arm="control")
    assert words[words.index("--device") + 1] == "cuda"


# -- the scissors --------------------------------------------------------------------------------------------


def test_the_cameras_of_the_scissors_see_what_the_environment_shows_in_the_episodes_of_the_state() -> None:
    from learning.scissors_pixels import ScissorsPixelsWorld
    from learning.scissors_state import ScissorsStateWorld

    from soft_flow_sim.domain_parameters import NOMINAL
    from soft_flow_sim.scissors_environment import ScissorsEnvironment

    environment, world, state = (
        ScissorsEnvironment(),
        ScissorsPixelsWorld(NOMINAL),
        ScissorsStateWorld(NOMINAL),
    )
    expected, _ = environment.reset(seed=3)
    observed = [world.reset(3), state.reset(3)]
    action = np.full(23, 0.2, dtype=np.float32)
    for _ in range(3):
        seen = world.look()
        assert all(np.array_equal(seen[name], expected[name]) for name in seen) and len(seen) == 3
        assert np.array_equal(observed[0], expected["proprioception"])
        assert np.array_equal(observed[1][: len(observed[0])], observed[0])
        expected = environment.step(action)[0]
        observed = [world.step(action).observation, state.step(action).observation]
