import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Mapping
from pathlib import Path

import numpy as np
import pytest
import torch

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "benchmarks"))

from learning.arms import ARMS
from learning.bench import parse_seeds
from learning.bench import run_all as run_processes
from learning.closed_loop import Tick, batch_of, policy_act, roll_out
from learning.comparison import read_results
from learning.critic_choice import best_chunk_act
from learning.evaluation import RANDOM
from learning.experiment_config import load_config
from learning.fork import Fork
from learning.hierarchical_bootstrap import hierarchical_interval
from learning.shared_imitation import SharedImitation
from learning.tasks import TASKS, budget_file

from soft_flow_contract.errors import SpecificationError
from soft_flow_learner.algorithm.algorithm_config import AlgorithmConfig
from soft_flow_learner.algorithm.soft_flow_algorithm import SoftFlow
from soft_flow_learner.errors import LearnerError
from soft_flow_policy.policy import FlowPolicy
from soft_flow_policy.policy_config import FlowPolicyConfig

BENCHMARKS = Path(__file__).resolve().parents[1] / "benchmarks"
SHORT = {
    "demonstrations": "40",
    "imitation.updates": "40",
    "imitation.batch": "16",
    "warmup.updates": "20",
    "warmup.batch": "16",
    "offline.updates": "20",
    "offline.batch": "16",
    "online.updates": "20",
    "online.batch": "16",
    "rounds": "2",
    "episodes_per_round": "4",
    "starts": "10",
    "candidates": "2",
    "save_seconds": "0.01",
}


def command(
    root: Path, arm: str = "soft_flow", seed: int = 0, values: Mapping[str, str] = SHORT
) -> list[str]:
    words = [sys.executable, "-m", "learning.run_experiment", "fork", "--root", str(root), "--arm", arm]
    words += ["--seed", str(seed), "--budget", "smoke"]
    return words + [word for key, value in values.items() for word in ("--set", f"{key}={value}")]


def run(words: list[str]) -> subprocess.CompletedProcess[str]:
    path = os.pathsep.join([str(BENCHMARKS), os.environ.get("PYTHONPATH", "")])
    environment = {**os.environ, "PYTHONPATH": path, "OMP_NUM_THREADS": "1"}
    return subprocess.run(words, env=environment, capture_output=True, text=True)


# -- the statistics ------------------------------------------------------------------------------------------


def test_the_bootstrap_draws_seeds_and_then_starts() -> None:
    # Two seeds of one start each, results 0 and 1: the mean is 0, 1/2, 1 with probability 1/4, 1/2, 1/4.
    results = [np.array([0]), np.array([1])]
    wide, narrow = (hierarchical_interval(results, confidence) for confidence in (0.6, 0.4))
    assert (wide.low, wide.high) == (0.0, 1.0)  # quantiles 0.2 and 0.8
    assert (narrow.low, narrow.high) == (0.5, 0.5)  # quantiles 0.3 and 0.7


def test_with_one_seed_the_bootstrap_is_that_of_its_starts() -> None:
    # Two starts, results 0 and 1: the mean of two draws is 0, 1/2, 1 with probability 1/4, 1/2, 1/4.
    interval = hierarchical_interval([np.array([0, 1])], confidence=0.4)
    assert (interval.low, interval.high) == (0.5, 0.5)


def test_seeds_that_disagree_make_the_interval_wider_than_their_starts_alone() -> None:
    apart = hierarchical_interval([np.zeros(100), np.ones(100)])
    pooled = hierarchical_interval([np.repeat([0, 1], 100)])
    assert apart.high - apart.low > 3 * (pooled.high - pooled.low)


def test_the_bootstrap_refuses_seeds_without_starts() -> None:
    with pytest.raises(ValueError, match="non-empty"):
        hierarchical_interval([np.array([1]), np.array([])])


def write_run(root: Path, arm: str, seed: int, reached: list[int], starts: list[int], beta: int = 1) -> None:
    folder = root / arm / str(seed)
    folder.mkdir(parents=True)
    evaluations = {"imitation": {RANDOM: {"starts": starts, "reached": reached}}}
    (folder / "result.json").write_text(json.dumps({"evaluations": evaluations}))
    (folder / "experiment.json").write_text(json.dumps({"seed": seed, "config": {"beta": beta}}))
    (folder / "timing.json").write_text("{}")


def test_a_difference_is_paired_by_seed_and_start_and_not_by_order(tmp_path: Path) -> None:
    write_run(tmp_path, "soft_flow", 0, [1, 0, 1], [7, 8, 9])
    write_run(tmp_path, "control", 0, [1, 0, 0], [9, 8, 6])
    write_run(tmp_path, "control", 1, [1, 1, 1], [7, 8, 9])
    results = read_results(tmp_path)
    gap = results.difference(("soft_flow", "imitation"), ("control", "imitation"), "reached", RANDOM)
    assert gap is not None
    assert (gap.value, gap.seeds, gap.trials) == (0.0, 1, 2)  # starts 8 and 9 of seed 0


def test_experiments_that_are_not_finished_are_left_out_and_more_seeds_join(tmp_path: Path) -> None:
    write_run(tmp_path, "soft_flow", 0, [1], [7])
    (tmp_path / "soft_flow" / "1").mkdir()
    assert set(read_results(tmp_path).runs["soft_flow"]) == {0}
    write_run(tmp_path, "soft_flow", 2, [1], [7])
    assert set(read_results(tmp_path).runs["soft_flow"]) == {0, 2}


def test_seeds_with_different_settings_are_not_compared(tmp_path: Path) -> None:
    write_run(tmp_path, "soft_flow", 0, [1], [7], beta=1)
    write_run(tmp_path, "soft_flow", 1, [1], [7], beta=3)
    with pytest.raises(LearnerError, match=r"config\.beta"):
        read_results(tmp_path)


# -- the configuration ---------------------------------------------------------------------------------------


@pytest.mark.parametrize("task", TASKS)
@pytest.mark.parametrize("budget", ["smoke", "default", "paper"])
def test_every_budget_of_every_task_is_a_configuration_of_every_arm(task: str, budget: str) -> None:
    config = load_config(budget_file(task), budget)
    for arm in ARMS.values():
        assert arm.configure(config).demonstrations == config.demonstrations


def test_an_override_changes_one_value_and_an_unknown_one_is_named() -> None:
    path = budget_file("fork")
    changed = load_config(path, "default", ["offline.objective.beta=1"])
    assert changed.offline.objective.beta == 1
    assert changed.online == load_config(path, "default").online
    with pytest.raises(SpecificationError, match="did you mean 'beta'"):
        load_config(path, "default", ["offline.objective.betta=1"])


def test_the_control_differs_by_the_critic_alone() -> None:
    config = load_config(budget_file("fork"), "default")
    control = ARMS["control"].configure(config)
    for stage, same in ((config.offline, control.offline), (config.online, control.online)):
        assert same.objective.q_weight == 0
        assert (stage.updates, stage.batch, stage.data, stage.imitated) == (
            same.updates,
            same.batch,
            same.data,
            same.imitated,
        )
        assert stage.objective.beta == same.objective.beta


def test_seeds_are_given_as_ranges() -> None:
    assert parse_seeds("0-2,7") == [0, 1, 2, 7]
    with pytest.raises(ValueError):
        parse_seeds("-3")


# -- acting --------------------------------------------------------------------------------------------------


class CountingWorld:
    """Its action says when to end; it remembers how many actions of each chunk were executed."""

    def reset(self, seed: int) -> np.ndarray:
        self.left = seed
        return np.array([seed, 0, 0, 0], dtype=np.float32)

    def step(self, action: np.ndarray) -> Tick:
        self.left -= 1
        observation = np.array([self.left, 0, 0, 0], dtype=np.float32)
        return Tick(observation, action, 0.0, {"reached": True}, self.left == 0, False)


def test_worlds_that_finish_early_take_the_next_start_and_results_keep_the_order() -> None:
    plans: list[int] = []

    def act(observations: np.ndarray, noise: np.ndarray) -> np.ndarray:
        plans.append(len(observations))
        return np.zeros_like(noise[:, 0])

    specification = Fork().specification  # executes 4 actions of a chunk
    starts = [9, 3, 5, 2]
    episodes = roll_out([CountingWorld(), CountingWorld()], act, starts, specification, seed=0)
    assert [episode.seed for episode in episodes] == starts
    assert [len(episode.ticks) for episode in episodes] == starts
    assert plans == [2, 2, 2, 1]  # 9 with 3, then 5 twice, then 2 alone


def test_a_start_gives_the_same_episode_whatever_is_played_beside_it() -> None:
    task = Fork()

    def act(observations: np.ndarray, noise: np.ndarray) -> np.ndarray:
        return noise[:, 0]

    alone = roll_out(task.worlds(1, False), act, [5], task.specification, seed=3)[0]
    among = roll_out(task.worlds(3, False), act, [4, 5, 6], task.specification, seed=3)[1]
    np.testing.assert_array_equal(np.stack(alone.observations), np.stack(among.observations))


@pytest.mark.parametrize(("likely_fraction", "asked"), [(1.0, 5), (0.6, 3)])
def test_of_several_likely_chunks_the_one_acts_that_the_critic_values_most(
    likely_fraction: float, asked: int
) -> None:
    torch.manual_seed(0)
    specification = Fork().specification
    policy = FlowPolicy(FlowPolicyConfig(cameras=()), specification)
    algorithm = SoftFlow(policy, AlgorithmConfig())
    torch.nn.init.normal_(algorithm.critic.head.weight, std=0.5)
    random = np.random.default_rng(0)
    observations = random.standard_normal((3, specification.proprioception_dimension)).astype(np.float32)
    shape = (specification.chunk.length, specification.action_dimension)
    noise = random.standard_normal((3, 5, *shape)).astype(np.float32)
    chosen = best_chunk_act(algorithm, 1.0, likely_fraction)(observations, noise)
    features = algorithm.critic_input(torch.from_numpy(observations), torch.zeros(3, 0))
    seen = batch_of(observations, {}, torch.device("cpu"))
    values, log_prob = [], []
    for candidate in range(5):
        with torch.no_grad():
            sample = policy.sample(seen, 1.0, torch.from_numpy(noise[:, candidate].copy()), denoise=True)
        log_prob.append(sample.log_prob)
        chunk = policy_act(policy, 1.0)(observations, noise[:, [candidate]]).clip(-1, 1)
        executed = torch.from_numpy(chunk[:, : specification.chunk.executed])
        values.append(algorithm.critic.value(algorithm.critic(features, executed)))
    ranks = torch.stack(log_prob).argsort(dim=0, descending=True).argsort(dim=0)
    best = torch.stack(values).masked_fill(ranks >= asked, -torch.inf).argmax(dim=0)
    assert len(set(best.tolist())) > 1
    for row, candidate in enumerate(best.tolist()):
        alone = policy_act(policy, 1.0)(observations[[row]], noise[[row]][:, [candidate]]).clip(-1, 1)
        np.testing.assert_allclose(chosen[row], alone[0], atol=1e-5)


def test_demonstrators_of_the_fork_take_both_ways_and_some_fail() -> None:
    recordings = Fork().demonstrate(range(200))
    sides = [np.sign(recording.observations[4][1]) for recording in recordings]
    assert 0.4 < np.mean(np.array(sides) > 0) < 0.6
    assert 0.55 < np.mean([recording.reached("reached") for recording in recordings]) < 0.85


# -- experiments ---------------------------------------------------------------------------------------------


def read(path: Path) -> dict[str, object]:
    return json.loads(path.read_text(encoding="utf-8"))


@pytest.mark.timeout(900)
def test_an_experiment_that_was_killed_again_and_again_ends_with_the_same_result(tmp_path: Path) -> None:
    whole = run(command(tmp_path / "whole"))
    assert whole.returncode == 0, whole.stderr
    killed = tmp_path / "killed"
    state = killed / "soft_flow" / "0" / "state.safetensors"
    kills = 0
    for stage in ("imitation", "online"):
        kills += kill_when_saved(command(killed), state, stage)
    assert kills > 0
    assert run(command(killed)).returncode == 0
    results = [read(root / "soft_flow" / "0" / "result.json") for root in (tmp_path / "whole", killed)]
    assert results[0] == results[1]


def kill_when_saved(words: list[str], state: Path, stage: str) -> bool:
    """Kill a process as soon as it has saved its state in `stage`; False if it ended before that."""
    path = os.pathsep.join([str(BENCHMARKS), os.environ.get("PYTHONPATH", "")])
    environment = {**os.environ, "PYTHONPATH": path, "OMP_NUM_THREADS": "1"}
    before = state.read_bytes() if state.exists() else b""
    process = subprocess.Popen(words, env=environment)
    while process.poll() is None:
        now = state.read_bytes() if state.exists() else b""
        if now != before and f'\\"stage\\":\\"{stage}\\"'.encode() in now[:2000]:
            process.send_signal(signal.SIGKILL)
            process.wait()
            return True
        time.sleep(0.01)
    return False


@pytest.mark.timeout(300)
@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_benchmark_that_is_stopped_leaves_no_process_behind(tmp_path: Path, number: signal.Signals) -> None:
    words = [sys.executable, str(BENCHMARKS / "learning_fork.py"), "--budget", "smoke", "--seeds", "0"]
    bench = subprocess.Popen(
        [*words, "--arms", "soft_flow", "--output", str(tmp_path)], stderr=subprocess.PIPE, text=True
    )
    while not (tmp_path / "soft_flow" / "0" / "experiment.json").exists():
        assert bench.poll() is None
        time.sleep(0.01)
    workers = processes_of(tmp_path) - {bench.pid}
    assert workers
    bench.send_signal(number)
    _, errors = bench.communicate()
    assert bench.returncode == 130 and "call it again to continue" in errors
    while workers & processes_of(tmp_path):
        time.sleep(0.01)


def processes_of(folder: Path) -> set[int]:
    """Processes with `folder` on their command line; one that has ended has none."""
    found = set()
    for path in Path("/proc").glob("[0-9]*/cmdline"):
        try:
            if str(folder).encode() in path.read_bytes():
                found.add(int(path.parent.name))
        except OSError:  # it has ended
            continue
    return found


def test_a_folder_that_was_begun_with_other_settings_is_refused(tmp_path: Path) -> None:
    words = command(tmp_path, arm="flow_matching")
    assert run(words).returncode == 0
    refused = run([*words, "--set", "imitation.learning_rate=0.5"])
    assert refused.returncode == 1
    assert "config.imitation.learning_rate" in refused.stderr


def test_arms_share_an_imitation_exactly_if_policy_and_settings_are_the_same(tmp_path: Path) -> None:
    config = load_config(budget_file("fork"), "smoke")
    paths = {
        name: SharedImitation(tmp_path, arm, 0, arm.configure(config)).path for name, arm in ARMS.items()
    }
    alike = {"soft_flow", "control", "no_forward_model", "per_step", "plain_targets"}
    assert len({paths[name] for name in alike}) == 1
    assert len(set(paths.values())) == 1 + len(ARMS.keys() - alike)
    longer = config.model_copy(update={"imitation": config.imitation.model_copy(update={"updates": 999})})
    assert SharedImitation(tmp_path, ARMS["soft_flow"], 0, longer).path != paths["soft_flow"]


@pytest.mark.timeout(900)
def test_an_arm_that_takes_over_anothers_imitation_ends_as_if_it_had_imitated_itself(tmp_path: Path) -> None:
    alone, after = tmp_path / "alone", tmp_path / "after"
    for root, arms in ((alone, ("control",)), (after, ("per_step", "control"))):
        for arm in arms:
            done = run(command(root, arm))
            assert done.returncode == 0, done.stderr
    assert len(list((after / "imitation").iterdir())) == 1
    results = [read(root / "control" / "0" / "result.json") for root in (alone, after)]
    assert results[0] == results[1]
    spent = [read(after / arm / "0" / "timing.json")["imitation"] for arm in ("per_step", "control")]
    assert spent[0] == spent[1]


@pytest.mark.timeout(900)
def test_an_arm_may_have_a_critic_of_another_horizon(tmp_path: Path) -> None:
    done = run(command(tmp_path, "per_step"))
    assert done.returncode == 0, done.stderr
    assert read(tmp_path / "per_step" / "0" / "result.json")["updates"]["online"] == 40  # type: ignore[index]


@pytest.mark.timeout(900)
def test_a_flow_beats_a_gaussian_at_the_fork_and_values_do_no_harm(tmp_path: Path) -> None:
    arms = ("soft_flow", "control", "gaussian")
    commands = [(arm, command(tmp_path, arm, values={})) for arm in arms]
    assert run_processes(commands, workers=2, logs=tmp_path / "logs") == []
    results = read_results(tmp_path)

    def gap(first: tuple[str, str], second: tuple[str, str]) -> float:
        difference = results.difference(first, second, "reached", RANDOM)
        assert difference is not None and difference.trials == 400
        return difference.value

    assert gap(("soft_flow", "imitation"), ("gaussian", "imitation")) >= 0.25
    assert gap(("soft_flow", "online"), ("control", "online")) >= -0.15
