"""Every verb has help, and every ending its exit status."""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
from pathlib import Path

import pytest

from soft_flow_bringup import launch_verb
from soft_flow_bringup.bench_verb import benchmarks
from soft_flow_bringup.bench_verb import main as bench
from soft_flow_bringup.child_process import run_to_end
from soft_flow_bringup.command_line import VERBS, main, parse
from soft_flow_bringup.run_tests_verb import pytest_arguments
from soft_flow_bringup.workspace import Workspace, find_workspace

ROOT = find_workspace().root


@pytest.fixture(autouse=True)
def _inside(monkeypatch: pytest.MonkeyPatch) -> None:
    """Be in the workspace's environment already, so that no verb sets up or replaces this process."""
    monkeypatch.setenv("SOFT_FLOW_INSIDE", str(ROOT))


@pytest.mark.parametrize("verb", [verb.name for verb in VERBS])
def test_every_verb_prints_help(verb: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as end:
        main([verb, "-h"])
    assert end.value.code == 0
    assert f"soft-flow {verb}" in capsys.readouterr().out


def test_the_script_prints_help_with_a_bare_python() -> None:
    """No packages, no environment: as on a machine where nothing is set up yet."""
    environ = {"PATH": os.environ["PATH"], "SOFT_FLOW_PYTHON": sys.executable, "PYTHONNOUSERSITE": "1"}
    program = (
        "import sys; sys.argv = ['soft-flow', '-h']; import soft_flow_bringup.command_line as c; c.main()"
    )
    environ["PYTHONPATH"] = str(ROOT / "src" / "soft_flow_bringup")
    result = subprocess.run(
        [sys.executable, "-S", "-c", program], env=environ, capture_output=True, text=True
    )
    assert result.returncode == 0, result.stderr
    for verb in VERBS:
        assert verb.name in result.stdout


@pytest.mark.parametrize(
    "arguments",
    [
        [],
        ["fly"],
        ["collect"],
        ["rollout", "--output", "x"],
        ["test", "--fast"],
        ["collect", "--output", "x", "--fast"],
        ["launch", "sim", "--fast"],
    ],
)
def test_wrong_usage_is_status_2(arguments: list[str]) -> None:
    with pytest.raises(SystemExit) as end:
        parse(arguments)
    assert end.value.code == 2


def test_options_that_are_not_the_verbs_own_are_handed_on_in_their_order() -> None:
    assert parse(["train", "--bags", "x", "--steps=3", "y"]).options == ["--bags", "x", "--steps=3", "y"]
    assert parse(["demo"]).options == []
    assert parse(["train", "--", "-h"]).options == ["-h"]
    assert parse(["bench", "latency", "--trials", "5"]).options == ["--trials", "5"]


def test_launch_arguments_may_stand_anywhere() -> None:
    arguments = parse(["collect", "a:=1", "--output", "x", "b:=2", "--seed", "3", "c:=4"])
    assert sorted(arguments.values) == ["a:=1", "b:=2", "c:=4"]
    assert parse(["launch", "sim", "a:=1", "-s", "b:=2"]).values == ["a:=1", "b:=2"]


def test_an_unknown_launch_file_is_status_1_and_names_those_there_are(
    capsys: pytest.CaptureFixture[str],
) -> None:
    assert main(["launch", "nothing"]) == 1
    assert "teleop.launch.xml" in capsys.readouterr().err


def test_a_launch_argument_without_an_equals_sign_is_status_1(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["launch", "teleop", "episodes=3"]) == 1
    assert "expected NAME:=VALUE, got 'episodes=3'" in capsys.readouterr().err


@pytest.mark.parametrize("name", ["teleop", "teleop.launch.xml", str(ROOT / "launch" / "teleop.launch.xml")])
def test_a_launch_file_is_found_by_name_and_by_path(name: str) -> None:
    assert launch_verb.find_launch_file(find_workspace(), name) == ROOT / "launch" / "teleop.launch.xml"


@pytest.mark.parametrize("file", sorted(file.name for file in (ROOT / "launch").glob("*.launch.xml")))
def test_every_launch_file_documents_all_its_arguments(file: str, capsys: pytest.CaptureFixture[str]) -> None:
    from soft_flow_bringup.launch_expansion import declared_arguments
    from soft_flow_bringup.launch_xml import read_launch_file

    declared = declared_arguments(read_launch_file(ROOT / "launch" / file))
    assert [argument.name for argument in declared.values() if not argument.description] == []
    assert main(["launch", file, "--show-args"]) == 0
    assert all(name in capsys.readouterr().out for name in list(declared)[:1])


def test_collect_and_rollout_give_the_launch_files_arguments_that_they_declare(tmp_path: Path) -> None:
    from soft_flow_bringup import collect_verb, rollout_verb
    from soft_flow_bringup.launch_expansion import expand

    collect = parse(["collect", "--output", str(tmp_path), "--episodes", "3", "lockstep:=false"])
    rollout = parse(["rollout", "--checkpoint", "c", "--output", str(tmp_path), "--seed", "7"])
    for verb, arguments, file in [(collect_verb, collect, "teleop"), (rollout_verb, rollout, "rollout")]:
        values = launch_verb.parse_values(verb.launch_values(arguments))
        expansion = expand(ROOT / "launch" / f"{file}.launch.xml", values, os.environ)
        assert "episode_node" in [process.name for process in expansion.processes]


def test_an_unknown_benchmark_is_status_2_and_names_the_nearest(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "benchmarks").mkdir()
    (tmp_path / "benchmarks" / "latency.py").write_text('if __name__ == "__main__":\n    pass\n')
    (tmp_path / "benchmarks" / "part.py").write_text("x = 1\n")
    workspace = Workspace(tmp_path)
    assert set(benchmarks(workspace)) == {"latency"}
    assert bench(argparse.Namespace(name="latncy", options=[]), workspace) == 2
    assert "did you mean latency?" in capsys.readouterr().err
    assert bench(argparse.Namespace(name="latency", options=[]), workspace) == 0


@pytest.mark.parametrize(
    ("program", "status"), [("", 0), ("raise SystemExit(3)", 3), ("import os; os.kill(os.getpid(), 9)", 137)]
)
def test_the_status_of_a_program_is_the_status_of_its_verb(tmp_path: Path, program: str, status: int) -> None:
    assert run_to_end([sys.executable, "-S", "-c", program], tmp_path) == status


@pytest.mark.parametrize(("given", "expected"), [(None, "PASSIVE"), ("ACTIVE", "ACTIVE")])
def test_threads_of_a_program_sleep_while_they_wait_unless_the_caller_wants_otherwise(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, given: str | None, expected: str
) -> None:
    monkeypatch.delenv("OMP_WAIT_POLICY", raising=False)
    if given:
        monkeypatch.setenv("OMP_WAIT_POLICY", given)
    program = f"import os; assert os.environ['OMP_WAIT_POLICY'] == '{expected}'"
    assert run_to_end([sys.executable, "-S", "-c", program], tmp_path) == 0


def test_the_test_verb_passes_its_selection_to_pytest() -> None:
    arguments = parse(["test", "-k", "flow and not slow", "-x", "src/soft_flow_policy"])
    passed_on = pytest_arguments(arguments)
    assert passed_on[:3] == ["-k", "flow and not slow", "-x"]
    assert passed_on[-1] == "src/soft_flow_policy"
