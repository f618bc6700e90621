"""The command line: whole runs, interrupted and killed ones, and every refusal."""

import contextlib
import json
import signal
import subprocess
import sys
from pathlib import Path

import pytest
from training_maker import SPECIFICATION, arguments, write_training_folder

from soft_flow_learner.metrics_log import read_metrics
from soft_flow_learner.train import main
from soft_flow_policy.checkpoint import open_checkpoint

CONFIG = {
    "policy": {"flow": {"blocks": 2, "width": 8}, "context_width": 16},
    "imitation": {"batch": 8, "held_out_rows": 8, "evaluation_interval": 20, "checkpoint_interval": 30},
}
pytestmark = pytest.mark.usefixtures("one_thread")


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_training_folder(tmp_path_factory.mktemp("train"), CONFIG, ["success"] * 4)


def losses(output: Path) -> list[float]:
    return [line["loss"] for line in read_metrics(output / "metrics.jsonl") if "loss" in line]


def start(words: list[str]) -> "subprocess.Popen[str]":
    command = [sys.executable, "-m", "soft_flow_learner.train", *words]
    return subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)


def wait_for_checkpoints(output: Path, process: "subprocess.Popen[str]", count: int) -> None:
    while len(list(output.glob("checkpoints/update_*/manifest.json"))) < count:
        with contextlib.suppress(subprocess.TimeoutExpired):
            process.wait(0.02)
            pytest.fail(f"ended before its checkpoint {count}: {process.communicate()[0]}")


@pytest.fixture(scope="module")
def whole_run(folder: Path) -> Path:
    """A run of 120 updates without an interruption."""
    output = folder / "whole"
    assert main(arguments(folder, output, "--updates", "120")) == 0
    return output


def test_a_run_ends_in_a_policy_that_carries_its_specification(whole_run: Path) -> None:
    checkpoint = open_checkpoint(whole_run / "policy", SPECIFICATION)
    assert checkpoint.manifest.step == 120
    assert checkpoint.manifest.stage == "imitation"
    assert checkpoint.manifest.extra["episodes"] == 3
    checkpoint.policy()


def test_a_run_records_every_update_and_the_held_out_likelihood(whole_run: Path) -> None:
    lines = read_metrics(whole_run / "metrics.jsonl")
    assert [line["update"] for line in lines if "loss" in line] == list(range(1, 121))
    assert sum("held_out_nll" in line for line in lines) >= 6
    record = json.loads((whole_run / "run.json").read_text())
    assert len(record["training_episodes"]) == 3
    assert len(record["held_out_episodes"]) == 1
    assert list((whole_run / "tensorboard").iterdir())


def test_the_same_seed_gives_the_same_losses_and_another_seed_others(folder: Path, whole_run: Path) -> None:
    assert main(arguments(folder, folder / "same", "--updates", "5")) == 0
    assert losses(folder / "same")[0] == losses(whole_run)[0]
    assert main(arguments(folder, folder / "other", "--updates", "5", "--seed", "1")) == 0
    assert losses(folder / "other")[0] != losses(whole_run)[0]


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGKILL])
def test_a_stopped_run_resumes_to_bit_equal_losses(
    folder: Path, whole_run: Path, number: signal.Signals, capsys: pytest.CaptureFixture[str]
) -> None:
    output = folder / f"stopped-{number.name}"
    process = start(arguments(folder, output, "--updates", "120"))
    wait_for_checkpoints(output, process, 1)
    process.send_signal(number)
    text = process.communicate()[0]
    if number == signal.SIGINT:
        assert process.returncode == 130
        assert f"--output {output} --resume" in text
    assert not (output / "policy").exists()
    assert main(["--output", str(output), "--resume"]) == 0
    assert "resumed from" in capsys.readouterr().out
    assert losses(output) == losses(whole_run)
    whole, other = (open_checkpoint(path / "policy") for path in (whole_run, output))
    name = "policy.safetensors"
    assert whole.manifest.files[name].sha256 == other.manifest.files[name].sha256


def test_a_damaged_checkpoint_is_passed_over_for_the_one_before(
    folder: Path, whole_run: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    output = folder / "damaged"
    process = start(arguments(folder, output, "--updates", "120"))
    wait_for_checkpoints(output, process, 2)
    process.send_signal(signal.SIGINT)
    process.communicate()
    newest = max(output.glob("checkpoints/update_*"))
    (newest / "training.safetensors").write_bytes(b"")
    assert main(["--output", str(output), "--resume"]) == 0
    assert "passed over a damaged checkpoint" in capsys.readouterr().out
    assert losses(output) == losses(whole_run)


def test_a_time_budget_becomes_a_recorded_number_of_updates(folder: Path) -> None:
    output = folder / "timed"
    assert main(arguments(folder, output, "--minutes", "0.05")) == 0
    record = json.loads((output / "run.json").read_text())
    assert (
        record["plans"]["imitation"]["knots"][-1]["end"] == open_checkpoint(output / "policy").manifest.step
    )


def test_a_policy_without_images_can_be_trained(folder: Path) -> None:
    assert main(arguments(folder, folder / "blind", "--updates", "3", "--no-images")) == 0
    assert open_checkpoint(folder / "blind" / "policy").manifest.policy.cameras == ()


def test_a_finished_run_is_not_overwritten(
    whole_run: Path, folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(arguments(folder, whole_run, "--updates", "3")) == 2
    assert "holds a run already: continue it with --resume" in capsys.readouterr().err


NEW_RUN = ["--output", "{new}", "--bags", "{bags}", "--task", "{task}"]
REFUSALS = [
    (["--output", "{new}"], "--bags and --task are needed"),
    (["--output", "{new}", "--resume"], "nothing to resume there"),
    (["--output", "{whole}", "--resume", "--seed", "3"], "--seed: a resumed run keeps its settings"),
    ([*NEW_RUN, "--task", "{missing}"], "cannot be read"),
    ([*NEW_RUN, "--bags", "{missing}"], "no such directory"),
    ([*NEW_RUN, "--bags", "{empty}"], "no episode to train on"),
    ([*NEW_RUN, "--updates", "0"], "--updates: expected a positive"),
    ([*NEW_RUN, "--updates", "online=3"], "'online' is no stage"),
    ([*NEW_RUN, "--stages", "offline,warmup"], "in this order"),
    ([*NEW_RUN, "--stages", "warmup"], "--policy: is needed"),
    ([*NEW_RUN, "--success-flag", "x"], "flag 'x' is no stage"),
    ([*NEW_RUN, "--config", "{typo}"], "did you mean 'batch'"),
]


@pytest.mark.parametrize(("words", "message"), REFUSALS, ids=[message for _, message in REFUSALS])
def test_what_cannot_be_done_is_said_in_one_line_with_exit_status_2(
    folder: Path, whole_run: Path, words: list[str], message: str, capsys: pytest.CaptureFixture[str]
) -> None:
    (folder / "empty").mkdir(exist_ok=True)
    (folder / "typo.yaml").write_text("imitation: {bach: 3}\n")
    places = {
        "new": folder / "new",
        "whole": whole_run,
        "bags": folder / "bags",
        "empty": folder / "empty",
        "missing": folder / "missing",
        "task": folder / "task.yaml",
        "typo": folder / "typo.yaml",
    }
    assert main([word.format(**places) for word in words]) == 2
    error = capsys.readouterr().err
    assert message in error
    assert error.startswith("error: ")
    assert not (folder / "new" / "run.json").exists()
