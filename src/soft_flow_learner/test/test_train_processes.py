"""Training by two processes: the same losses as by one, the same weights in both, one set of files."""

import os
import subprocess
import sys
from pathlib import Path

import pytest
import safetensors.torch
import torch
import yaml
from bag_maker import small_specification, write_episode

from soft_flow_learner.metrics_log import read_metrics
from soft_flow_learner.train import main
from soft_flow_policy.checkpoint import open_checkpoint

pytestmark = pytest.mark.timeout(900)  # several processes start, and each imports PyTorch

SPECIFICATION = small_specification()
STAGES = ("imitation", "warmup", "offline")
SCRIPT = Path(__file__).parent / "train_and_tell.py"
CONFIG = {
    "policy": {"flow": {"blocks": 2, "width": 8}, "context_width": 16, "proprioception_noise": 0.1},
    "imitation": {"batch": 8, "held_out_rows": 8, "evaluation_interval": 4},
    "algorithm": {"critic": {"width": 8}},
    "stages": {
        "warmup": {"batch": 8, "objective": {"train_actor": False}},
        # Every term of the actor's loss, and cameras that learn.
        "offline": {
            "batch": 8,
            "objective": {
                "freeze_cameras": False,
                "entropy_weight": 0.01,
                "failure_weight": 0.3,
                "advantage_temperature": 0.5,
                "trust_weight": 0.5,
                "q_weight": 0.7,
            },
        },
        "replay_steps": 500,
        "evaluation_interval": 4,
    },
}


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("processes")
    for seed in range(6):
        outcome = "failure" if seed % 3 == 2 else "success"
        write_episode(path / "bags" / f"episode-{seed}", SPECIFICATION, seed=seed, outcome=outcome)
    (path / "task.yaml").write_text(yaml.safe_dump(SPECIFICATION.model_dump(mode="json")))
    (path / "learner.yaml").write_text(yaml.safe_dump(CONFIG))
    return path


def arguments(folder: Path, output: Path) -> list[str]:
    files = ["--task", str(folder / "task.yaml"), "--config", str(folder / "learner.yaml")]
    words = ["--bags", str(folder / "bags"), *files, "--output", str(output), "--device", "cpu"]
    updates = "imitation=6,warmup=6,offline=6"
    return [*words, "--threads", "1", "--stages", ",".join(STAGES), "--updates", updates]


def train_by_two(folder: Path) -> Path:
    """The run of two processes, which torchrun starts; it chooses a free port itself."""
    output = folder / "by-2"
    start = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node", "2"]
    ended = subprocess.run(
        [*start, str(SCRIPT), str(folder), *arguments(folder, output)],
        capture_output=True,
        text=True,
        env={**os.environ, "OMP_NUM_THREADS": "1"},
    )
    assert ended.returncode == 0, ended.stdout + ended.stderr
    return output


@pytest.fixture(scope="module")
def runs(folder: Path) -> tuple[Path, Path]:
    """The same run by one process and by two."""
    threads = torch.get_num_threads()
    assert main(arguments(folder, folder / "by-1")) == 0
    torch.set_num_threads(threads)
    return folder / "by-1", train_by_two(folder)


@pytest.mark.parametrize("stage", STAGES)
def test_two_processes_have_the_losses_of_one(runs: tuple[Path, Path], stage: str) -> None:
    alone, shared = (
        read_metrics((run if stage == "imitation" else run / "stages" / stage) / "metrics.jsonl")
        for run in runs
    )
    assert len(alone) == len(shared) == 7  # the last line is the evaluation
    for one, two in zip(alone, shared, strict=True):
        assert one.keys() == two.keys()
        for name in one.keys() - {"seconds"}:
            assert two[name] == pytest.approx(one[name], abs=1e-4, rel=1e-4), name


@pytest.mark.parametrize("stage", STAGES)
def test_both_processes_end_with_equal_weights(folder: Path, runs: tuple[Path, Path], stage: str) -> None:
    first, second = (safetensors.torch.load_file(folder / f"{stage}-{rank}.safetensors") for rank in (0, 1))
    assert first.keys() == second.keys() and len(first) > 10
    assert all(torch.equal(value, second[name]) for name, value in first.items())


def test_two_processes_leave_one_run_that_can_be_rolled_out(runs: tuple[Path, Path]) -> None:
    checkpoints = [open_checkpoint(run / "policy", SPECIFICATION) for run in runs]
    assert [checkpoint.manifest.stage for checkpoint in checkpoints] == ["offline"] * 2
    assert all(checkpoint.critic() for checkpoint in checkpoints)
    policies = [checkpoint.policy().state_dict() for checkpoint in checkpoints]
    for name, value in policies[0].items():
        assert torch.allclose(value, policies[1][name], atol=1e-3), name
    found = [{path.name for path in run.iterdir()} - {"replay-1"} for run in runs]
    assert found[0] == found[1]
