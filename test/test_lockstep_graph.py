"""The launch files, through the runner, start the whole graph, which is repeatable in lockstep."""

import json
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from recorded_bag import read_bag

from soft_flow_bringup.graph_commands import collect_command, rollout_command
from soft_flow_contract.message_conversion import to_nanoseconds
from soft_flow_contract.task_specification import TaskSpecification
from soft_flow_policy.checkpoint import save_checkpoint
from soft_flow_policy.flow import FlowConfig
from soft_flow_policy.policy import FlowPolicy
from soft_flow_policy.policy_config import FlowPolicyConfig

STEPS = 24  # three chunks
EPISODES = 2


def run(command: list[str], environment: dict[str, str]) -> subprocess.CompletedProcess[str]:
    """Run a graph until it ends by itself."""
    return subprocess.run(command, env=environment, capture_output=True, text=True, timeout=120)


def require_success(result: subprocess.CompletedProcess[str]) -> None:
    assert result.returncode == 0, f"exit status {result.returncode}\n{result.stdout}\n{result.stderr}"


def recorded(output: Path) -> list[list[Any]]:
    """Transitions of every episode, in the order of seeds."""
    folders = sorted(path for path in output.iterdir() if path.is_dir() and not path.name.startswith("."))
    return [read_bag(folder) for folder in folders]


def without_identity(transition: Any) -> Any:
    transition.episode_id = ""
    transition.action.latency = 0.0  # wall time
    return transition


def test_two_lockstep_collections_with_the_same_seeds_record_identical_transitions(
    tmp_path: Path, graph_environment: dict[str, str], make_short_task: Callable[[int], Path]
) -> None:
    runs = []
    for name in ("first", "second"):
        command = collect_command(tmp_path / name, EPISODES, 7, task_file=make_short_task(STEPS))
        require_success(run(command, graph_environment))
        runs.append(recorded(tmp_path / name))
    first, second = runs
    assert [len(episode) for episode in first] == [STEPS + 1] * EPISODES
    assert {t.episode_id for episode in first for t in episode}.isdisjoint(
        t.episode_id for episode in second for t in episode
    )
    for episode, again in zip(first, second, strict=True):
        assert [without_identity(t) for t in episode] == [without_identity(t) for t in again]
    assert first[0][0].observation != first[1][0].observation  # another seed, another world


def test_recorded_ticks_follow_each_other_and_carry_what_was_executed(
    tmp_path: Path, graph_environment: dict[str, str], make_short_task: Callable[[int], Path]
) -> None:
    task_file = make_short_task(STEPS)
    specification = TaskSpecification.load(task_file)
    require_success(run(collect_command(tmp_path / "bags", 1, 3, task_file=task_file), graph_environment))
    (episode,) = recorded(tmp_path / "bags")
    stamps = [to_nanoseconds(t.header.stamp) for t in episode]
    assert np.diff(stamps).tolist() == [specification.dt_ns] * STEPS
    assert [t.is_first for t in episode] == [True] + [False] * STEPS
    assert [t.is_last for t in episode] == [False] * STEPS + [True]
    assert not episode[-1].is_terminal  # cut off, not ended
    last = specification.proprioception_slices["last_action"]
    for before, after in zip(episode, episode[1:], strict=False):
        np.testing.assert_array_equal(after.observation.proprioception[last], before.action.executed)


@pytest.fixture
def untrained_checkpoint(tmp_path: Path, make_short_task: Callable[[int], Path]) -> Path:
    specification = TaskSpecification.load(make_short_task(STEPS))
    torch.manual_seed(0)
    policy = FlowPolicy(FlowPolicyConfig(flow=FlowConfig(blocks=2, width=16)), specification)
    chunks = 0.3 * torch.rand(32, specification.chunk.length, specification.action_dimension) - 0.15
    policy.fit_normalizers(torch.rand(32, specification.proprioception_dimension), chunks)
    return save_checkpoint(tmp_path / "checkpoint", policy.eval(), version=1, step=0, stage="imitation")


def test_two_lockstep_rollouts_of_an_untrained_policy_record_identical_transitions(
    tmp_path: Path, graph_environment: dict[str, str], untrained_checkpoint: Path
) -> None:
    runs = []
    for name in ("first", "second"):
        command = rollout_command(
            untrained_checkpoint, tmp_path / name, EPISODES, 100, task_file=tmp_path / "short.yaml"
        )
        require_success(run(command, graph_environment))
        runs.append(recorded(tmp_path / name))
    first, second = runs
    chunk_steps = [t.action.chunk_step for t in first[0][:-1]]
    assert chunk_steps == [k % 8 for k in range(STEPS)]
    for episode, again in zip(first, second, strict=True):
        assert [without_identity(t) for t in episode] == [without_identity(t) for t in again]
    lines = (tmp_path / "first" / "episodes.jsonl").read_text(encoding="utf-8").splitlines()
    assert [json.loads(line)["seed"] for line in lines] == [100, 101]
