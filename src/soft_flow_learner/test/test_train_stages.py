"""All stages from bags: their order, what each leaves, and kill -9 in each of them."""

import contextlib
import signal
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import yaml
from training_maker import SPECIFICATION, arguments, write_training_folder

from soft_flow_contract.steps import ObservationData
from soft_flow_learner.metrics_log import read_metrics
from soft_flow_learner.train import main
from soft_flow_policy.checkpoint import open_checkpoint
from soft_flow_policy.likelihood_gate import read_calibration
from soft_flow_policy.served_policy import Sampling, ServedPolicy

UPDATES = {"imitation": 40, "warmup": 40, "offline": 40}
CONFIG = {
    "policy": {"flow": {"blocks": 2, "width": 8}, "context_width": 16},
    "imitation": {"batch": 8, "held_out_rows": 8, "evaluation_interval": 20, "checkpoint_interval": 15},
    "algorithm": {"critic": {"width": 8}},
    "stages": {
        "warmup": {"batch": 8, "updates": 40, "objective": {"train_actor": False}},
        "offline": {"batch": 8, "updates": 40},
        "replay_steps": 500,
        "evaluation_interval": 20,
        "checkpoint_interval": 15,
    },
}
pytestmark = pytest.mark.usefixtures("one_thread")


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    outcomes = ["success", "success", "failure"] * 2
    return write_training_folder(tmp_path_factory.mktemp("stages"), CONFIG, outcomes)


def all_stages(folder: Path, output: Path) -> list[str]:
    stages = ["--stages", "imitation,warmup,offline", "--updates", "imitation=40"]
    return arguments(folder, output, *stages)


@pytest.fixture(scope="module")
def whole_run(folder: Path) -> Path:
    output = folder / "whole"
    assert main(all_stages(folder, output)) == 0
    return output


def stage_folder(output: Path, stage: str) -> Path:
    return output if stage == "imitation" else output / "stages" / stage


def metrics(output: Path, stage: str) -> list[dict[str, float]]:
    """What was measured, without the wall time."""
    lines = read_metrics(stage_folder(output, stage) / "metrics.jsonl")
    return [{name: value for name, value in line.items() if name != "seconds"} for line in lines]


def test_every_stage_leaves_its_policy_and_the_last_one_is_the_runs(whole_run: Path) -> None:
    for stage, updates in UPDATES.items():
        manifest = open_checkpoint(whole_run / "stages" / stage / "policy", SPECIFICATION).manifest
        assert (manifest.stage, manifest.step) == (stage, updates)
    assert open_checkpoint(whole_run / "policy").manifest.stage == "offline"


def test_the_policy_of_a_stage_after_imitation_brings_the_critic_that_chooses_among_its_chunks(
    whole_run: Path,
) -> None:
    imitation, warmup, offline = (
        open_checkpoint(whole_run / "stages" / stage / "policy").critic() for stage in UPDATES
    )
    assert imitation is None
    assert warmup != offline == open_checkpoint(whole_run / "policy").critic()
    random = np.random.default_rng(0)
    proprioception = random.uniform(-1, 1, SPECIFICATION.proprioception_dimension).astype(np.float32)
    images = {"palm": random.integers(0, 255, (24, 24, 3), dtype=np.uint8)}
    observation = ObservationData(0, proprioception, images)
    served = ServedPolicy(str(whole_run / "policy"), Sampling(0, 1.0, True, 8), "onnxruntime", SPECIFICATION)
    assert np.isfinite(served.plan(observation).value)


def test_every_stage_calibrates_the_likelihood_gate_on_the_episodes_that_were_held_out(
    whole_run: Path,
) -> None:
    calibrations = [
        read_calibration(open_checkpoint(whole_run / "stages" / stage / "policy").manifest.extra, stage)
        for stage in UPDATES
    ]
    assert all(calibration.executed == 2 for calibration in calibrations)
    counts = [len(signals) for calibration in calibrations for signals in calibration.signals.values()]
    assert counts == [10] * 3 + [11] * 6  # pairs of an episode of 12 actions, at three temperatures


def test_warm_up_leaves_the_policy_of_imitation_and_offline_changes_it(whole_run: Path) -> None:
    digests = [
        open_checkpoint(whole_run / "stages" / stage / "policy").manifest.files["policy.safetensors"].sha256
        for stage in UPDATES
    ]
    assert digests[0] == digests[1] != digests[2]


def test_offline_reports_values_likelihood_and_beta(whole_run: Path) -> None:
    lines = metrics(whole_run, "offline")
    assert len([line for line in lines if "nll" in line]) == 40
    assert {"critic", "q_policy", "q_data", "lambda", "beta", "nll", "box"} <= lines[0].keys()
    assert any("held_out_nll" in line for line in lines)
    assert "nll" not in metrics(whole_run, "warmup")[0]


@pytest.mark.parametrize("stage", list(UPDATES))
def test_a_run_killed_in_any_stage_resumes_to_the_same_losses(
    folder: Path, whole_run: Path, stage: str
) -> None:
    output = folder / f"killed-{stage}"
    command = [sys.executable, "-m", "soft_flow_learner.train", *all_stages(folder, output)]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
    while not list(stage_folder(output, stage).glob("checkpoints/update_*/manifest.json")):
        with contextlib.suppress(subprocess.TimeoutExpired):
            process.wait(0.02)
            pytest.fail(f"ended before a checkpoint of {stage}: {process.communicate()[0]}")
    process.send_signal(signal.SIGKILL)
    process.communicate()
    assert main(["--output", str(output), "--resume"]) == 0
    for each in UPDATES:
        assert metrics(output, each) == metrics(whole_run, each)
    name = "policy.safetensors"
    runs = [open_checkpoint(path / "policy").manifest.files[name].sha256 for path in (whole_run, output)]
    assert runs[0] == runs[1]


def test_offline_can_begin_with_any_policy_of_the_task(folder: Path, whole_run: Path) -> None:
    output = folder / "from-policy"
    words = ["--stages", "warmup,offline", "--policy", str(whole_run / "stages" / "imitation" / "policy")]
    assert main(arguments(folder, output, *words, "--updates", "warmup=3,offline=3")) == 0
    assert open_checkpoint(output / "policy").manifest.step == 3


def test_targets_outside_the_critics_support_stop_the_stage_with_a_reason(
    folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    data = {
        **CONFIG,
        "algorithm": {"critic": {"width": 8, "value": {"lowest_return": 5, "highest_return": 6}}},
    }
    (folder / "narrow.yaml").write_text(yaml.safe_dump(data))
    words = arguments(folder, folder / "alarm", "--stages", "imitation,warmup", "--updates", "imitation=2")
    words[words.index(str(folder / "learner.yaml"))] = str(folder / "narrow.yaml")
    assert main(words) == 1
    assert "target_outside" in capsys.readouterr().err
