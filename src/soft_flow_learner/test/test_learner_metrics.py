"""What the learner beside the robot notes of its updates, and what a crash leaves of it."""

import json
import signal
import subprocess
import sys
from pathlib import Path

import pytest
from learner_maker import Watched, later_episodes, make_run
from replay_maker import LAYOUT, make_episode

from soft_flow_learner.metrics_log import MetricsLog, read_metrics
from soft_flow_learner.online.recent_rollouts import RECENT, recent_rollouts
from soft_flow_learner.online.worker_interface import Budget
from soft_flow_learner.replay.replay_buffer import ReplayBuffer

pytestmark = pytest.mark.usefixtures("one_thread")
SCRIPT = Path(__file__).parent / "learn_online.py"


def metrics_file(output: Path, stage: str = "online") -> Path:
    return output / "stages" / stage / "metrics.jsonl"


def success_of(*attempts: tuple[str, str]) -> dict[str, float]:
    """Of a replay of episodes with these outcomes and sources."""
    buffer = ReplayBuffer(LAYOUT, 500)
    for number, (outcome, source) in enumerate(attempts):
        buffer.add(make_episode(number, 2, outcome), source)
    return recent_rollouts(buffer.episodes)


def test_every_online_update_is_noted_with_likelihood_beta_and_values(
    beginning: Path, tmp_path: Path
) -> None:
    watched = Watched(make_run(beginning, tmp_path), Budget(first_updates=12))
    watched.until_at_rest()
    assert watched.worker.stop()
    rows = read_metrics(metrics_file(tmp_path))
    assert [row["update"] for row in rows] == list(range(1, 13))
    assert {"nll", "beta", "lambda", "q_data", "q_policy", "critic", "seconds"} <= rows[0].keys()
    assert [row["seconds"] for row in rows] == sorted(row["seconds"] for row in rows)
    assert list((tmp_path / "stages" / "online" / "tensorboard").iterdir())


def test_every_stage_has_its_own_metrics(beginning: Path, tmp_path: Path) -> None:
    updates = {"warmup": 3, "offline": 4}
    watched = Watched(make_run(beginning, tmp_path, stages=tuple(updates), updates=updates), Budget())
    watched.until_at_rest()
    assert watched.worker.stop()
    for stage, count in updates.items():
        rows = read_metrics(metrics_file(tmp_path, stage))
        assert [row["update"] for row in rows] == list(range(1, count + 1))
    assert "nll" not in read_metrics(metrics_file(tmp_path, "warmup"))[0]


def test_the_successes_of_the_policys_own_attempts_are_noted_once_there_are_some(
    beginning: Path, tmp_path: Path
) -> None:
    watched = Watched(make_run(beginning, tmp_path), Budget(first_updates=2))
    watched.until_at_rest()
    for episode in later_episodes(beginning):
        watched.worker.take(episode)
    watched.until_at_rest()
    assert watched.worker.stop()
    rows = read_metrics(metrics_file(tmp_path))
    assert [row.get("rollouts") for row in (rows[0], rows[-1])] == [3, 5]  # bags that name no operator
    assert rows[-1]["rollout_success"] == 1.0


def test_only_the_last_attempts_count_and_demonstrations_do_not() -> None:
    earlier = [("failure", "policy")] * 7
    recent = [("success", "policy"), ("failure", "intervention")] * (RECENT // 2)
    expected = {"rollouts": float(RECENT + 7), "rollout_success": 0.5}
    assert success_of(*earlier, *recent, ("failure", "demonstration")) == expected
    assert success_of(("success", "demonstration")) == {}


def test_after_kill_minus_nine_the_metrics_go_on_without_gap_or_repetition(
    beginning: Path, tmp_path: Path
) -> None:
    command = [sys.executable, str(SCRIPT), str(beginning), str(tmp_path)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        for line in process.stdout:  # one a checkpoint
            if int(line) >= 3:
                break
        process.send_signal(signal.SIGKILL)
    path = metrics_file(tmp_path)
    with path.open("a", encoding="utf-8") as log:
        log.write('{"update": 999, "nl')  # killed while it wrote
    run = make_run(beginning, tmp_path)
    first = run._newest_checkpoint("online")
    assert first is not None
    end = first.manifest.step + 5
    watched = Watched(run, Budget(first_updates=end))
    watched.until_at_rest()
    assert watched.worker.stop()
    assert [row["update"] for row in read_metrics(path)] == list(range(1, end + 1))


def test_an_alarm_leaves_the_updates_before_it_on_the_disk(beginning: Path, tmp_path: Path) -> None:
    run = make_run(beginning, tmp_path)
    watched = Watched(run, Budget(first_updates=3))
    watched.until_at_rest()
    run.buffer.steps.reward[:] = float("nan")
    run.buffer.version += 1
    watched.worker.take(later_episodes(beginning)[0])
    watched.wait_until(lambda: watched.worker.status().problem)
    assert len(read_metrics(metrics_file(tmp_path))) == 3
    assert watched.worker.stop()


def test_a_log_that_goes_on_loses_what_is_torn_or_beyond_its_checkpoint_and_nothing_else(
    tmp_path: Path,
) -> None:
    path = tmp_path / "metrics.jsonl"
    lines = [json.dumps({"update": number, "nll": 0.5}) for number in (1, 2, 3, 4)]
    path.write_text("\n".join([*lines[:3], "17", lines[3]]) + "\n" + lines[0][:9])
    with MetricsLog(path, tmp_path / "tensorboard", 2) as log:
        log.write(3, {"nll": 0.25})
    assert [(row["update"], row["nll"]) for row in read_metrics(path)] == [(1, 0.5), (2, 0.5), (3, 0.25)]
