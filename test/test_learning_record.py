"""Recorded runs of learning experiments join those that are there, if their settings are the same."""

import json
import sys
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).parents[1]
sys.path.insert(0, str(ROOT / "benchmarks"))

import learning.bench  # noqa: E402
import learning_fork  # noqa: E402
from learning.arms import ARMS  # noqa: E402
from learning.comparison import Results  # noqa: E402
from learning.comparison_figures import configuration  # noqa: E402
from learning.evaluation import FIXED, RANDOM  # noqa: E402
from learning.experiment_config import load_config  # noqa: E402
from learning.fork import Fork  # noqa: E402
from learning.recorded_runs import with_recorded, write_record  # noqa: E402
from learning.run_experiment import arm_settings  # noqa: E402
from learning.tasks import budget_file  # noqa: E402

from soft_flow_learner.errors import LearnerError  # noqa: E402

NOTHING = Results({}, {}, {})


def make_run(arm: str, seed: int, reached: list[int]) -> dict[str, Any]:
    starts = list(range(200, 200 + len(reached)))
    evaluation = {
        RANDOM: {"starts": starts, "reached": reached, "steps": [9] * len(reached)},
        FIXED: {"starts": [7], "reached": [1], "steps": [3]},
    }
    return {
        "arm": arm,
        "seed": seed,
        "updates": {"imitation": 5},
        "rollouts": [],
        "demonstrations": {"episodes": 3, "successes": 2},
        "evaluations": {"imitation": evaluation},
    }


def make_results(arm: str, seeds: dict[int, list[int]], beta: int = 1) -> Results:
    runs = {arm: {seed: make_run(arm, seed, reached) for seed, reached in seeds.items()}}
    timing = {arm: {seed: {"imitation": 60.0 + seed} for seed in seeds}}
    return Results(runs, timing, {arm: {"arm": arm, "config": {"beta": beta}}})


def record(folder: Path, results: Results) -> tuple[Path, Path]:
    files = folder / "x_runs.jsonl", folder / "x_config.json"
    write_record(files[0], results)
    files[1].write_text(json.dumps(configuration(results)))
    return files


def expected(arm: str) -> dict[str, Any]:
    return {"arm": arm, "config": {"beta": 1}}


def test_every_start_of_a_record_is_what_it_was(tmp_path: Path) -> None:
    results = make_results("soft_flow", {0: [1, 0, 1], 12: [0, 0, 1]})
    read, left_out = with_recorded(NOTHING, *record(tmp_path, results), expected)
    assert left_out == []
    assert read.timing == results.timing and read.settings == results.settings
    for kind in (RANDOM, FIXED):
        who = ("soft_flow", "imitation")
        assert read.rows(who, "reached", kind) == results.rows(who, "reached", kind)
    assert read.runs["soft_flow"][12]["demonstrations"] == {"episodes": 3, "successes": 2}


def test_recorded_seeds_and_arms_join_those_here_which_come_first(tmp_path: Path) -> None:
    here = make_results("soft_flow", {0: [1, 1], 1: [1, 1]})
    files = record(tmp_path, make_results("soft_flow", {1: [0, 0], 2: [0, 0]}))
    together, _ = with_recorded(here, *files, expected)
    rows = together.rows(("soft_flow", "imitation"), "reached", RANDOM)
    assert {seed: sum(row.values()) for seed, row in rows.items()} == {0: 2, 1: 2, 2: 0}
    files = record(tmp_path, make_results("control", {0: [0, 1]}))
    together, _ = with_recorded(here, *files, expected)
    gap = together.difference(("soft_flow", "imitation"), ("control", "imitation"), "reached", RANDOM)
    assert gap is not None and (gap.value, gap.seeds) == (0.5, 1)
    assert set(here.runs) == {"soft_flow"} and set(here.runs["soft_flow"]) == {0, 1}


def test_runs_of_other_settings_are_left_out_by_name(tmp_path: Path) -> None:
    files = record(tmp_path, make_results("control", {0: [0, 1], 1: [1, 1]}, beta=3))
    together, left_out = with_recorded(make_results("soft_flow", {0: [1, 1]}), *files, expected)
    assert set(together.runs) == {"soft_flow"}
    assert left_out == ["control: recorded with config.beta = 3, now 1"]


def test_recorded_seeds_join_only_seeds_of_the_same_settings(tmp_path: Path) -> None:
    files = record(tmp_path, make_results("control", {0: [0, 1]}))
    together, left_out = with_recorded(make_results("control", {1: [1, 1]}, beta=3), *files, expected)
    assert set(together.runs["control"]) == {1}
    assert left_out == ["control: recorded with config.beta = 1, now 3"]


@pytest.mark.parametrize("damage", ["cut", "missing", "foreign"])
def test_a_damaged_record_is_refused(tmp_path: Path, damage: str) -> None:
    runs, settings = record(tmp_path, make_results("control", {0: [0, 1]}))
    if damage == "cut":
        runs.write_text(runs.read_text()[:-20])
    elif damage == "missing":
        settings.unlink()
    else:
        runs.write_text('{"something": "else"}\n')
    with pytest.raises(LearnerError, match=r"x_runs\.jsonl, x_config\.json: cannot be read"):
        with_recorded(NOTHING, runs, settings, expected)


def test_the_command_adds_recorded_arms_and_records_them_all(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(learning.bench, "RESULTS", tmp_path)
    task, config = Fork(), load_config(budget_file("fork"), "default")
    arms: dict[str, Results] = {}
    for arm, reached in (("soft_flow", [1, 1, 0, 1]), ("control", [0, 1, 0, 1])):
        made = make_results(arm, {0: reached})
        begun = {arm: arm_settings(task, ARMS[arm], "default", config)}
        arms[arm] = Results(made.runs, made.timing, begun)
    write_record(tmp_path / "learning_fork_runs.jsonl", arms["control"])
    (tmp_path / "learning_fork_config.json").write_text(json.dumps(configuration(arms["control"])))
    folder = tmp_path / "here" / "soft_flow" / "0"
    folder.mkdir(parents=True)
    (folder / "result.json").write_text(json.dumps(arms["soft_flow"].runs["soft_flow"][0]))
    (folder / "experiment.json").write_text(
        json.dumps({**arms["soft_flow"].settings["soft_flow"], "seed": 0})
    )
    (folder / "timing.json").write_text('{"imitation": 60.0}')
    (folder / "progress.jsonl").write_text("")
    options = ["--compare-only", "--recorded", "--output", str(tmp_path / "here")]
    assert learning_fork.main(options) == 0
    table = (tmp_path / "learning_fork.md").read_text()
    assert "| reached, SOFT-FLOW after imitation, from held-out starts (95 % 25 to 100) | 75 |" in table
    assert (
        "| reached, control (no critic) after imitation, from held-out starts (95 % 0 to 100) | 50 |" in table
    )
    assert "left out" not in capsys.readouterr().out
    lines = (tmp_path / "learning_fork_runs.jsonl").read_text().splitlines()
    assert [json.loads(line)["run"]["arm"] for line in lines] == ["soft_flow", "control"]


def test_where_nothing_is_recorded_the_command_says_so(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(learning.bench, "RESULTS", tmp_path)
    assert learning_fork.main(["--compare-only", "--recorded", "--output", str(tmp_path / "here")]) == 1
    assert "or compare without --recorded" in capsys.readouterr().err
