"""Check this machine and the workspace, and say for each failure what to do.

Really renders a frame and really sends a message between two processes. Exit status 1 if something stops
the simulated path.

With --robot FILE it asks the parts of a cell instead: emergency stop, arm, hand, cameras, clocks, computer.
Nothing moves. Exit status 1 if something stops the robot's path. See docs/bringing_up_a_robot.md.
"""

from __future__ import annotations

import argparse
import os
import shutil
import sys
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path

from soft_flow_bringup import doctor_judgements as judge
from soft_flow_bringup import doctor_measurements as measure
from soft_flow_bringup.environment_setup import stale_parts
from soft_flow_bringup.finding import Finding, Verdict, fault
from soft_flow_bringup.workspace import Workspace, native_ros_prefix

_OF_ROBOTS = ("Python", "ROS 2", "workspace", "cores", "memory", "shared memory", "DDS")


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the arguments of `soft-flow doctor`."""
    robot = parser.add_argument_group("for a robot")
    robot.add_argument("--robot", type=Path, metavar="FILE", help="the cell: config/robots/NAME.yaml")
    robot.add_argument(
        "--task", default="scissors", help="NAME of config/tasks, or a file (default: %(default)s)"
    )
    robot.add_argument(
        "--episodes", type=Path, default=Path("runs"), metavar="DIR",
        help="where episodes will be recorded (default: %(default)s)",
    )  # fmt: skip
    robot.add_argument("--json", type=Path, metavar="FILE", help="keep measurements and findings")


def checks(workspace: Workspace) -> list[tuple[str, Callable[[], Finding]]]:
    """Return the checks with what they look at, in the order in which they run."""
    native = native_ros_prefix(os.environ, workspace)
    stale = stale_parts(workspace, os.environ)
    cores = len(os.sched_getaffinity(0))
    serial = ("ttyUSB*", "ttyACM*")
    return [
        ("Python", lambda: judge.judge_python(sys.version_info[:2], sys.executable)),
        ("ROS 2", lambda: judge.judge_ros(native, measure.probe_ros())),
        ("workspace", lambda: judge.judge_workspace(stale, measure.probe_messages())),
        ("rendering", lambda: judge.judge_rendering(measure.probe_rendering())),
        ("cores", lambda: judge.judge_cores(cores)),
        ("memory", lambda: judge.judge_memory(measure.available_memory())),
        ("disk", lambda: judge.judge_disk(shutil.disk_usage(workspace.root).free)),
        ("shared memory", lambda: judge.judge_shared_memory(measure.shared_memory())),
        ("DDS", lambda: judge.judge_discovery(measure.probe_discovery())),
        ("serial ports", lambda: judge.judge_devices("Serial", measure.device_access(*serial), "dialout")),
        ("cameras", lambda: judge.judge_devices("Cameras", measure.device_access("video*"), "video")),
    ]


def main(arguments: argparse.Namespace, workspace: Workspace) -> int:
    """Run all checks and print the table."""
    if arguments.json is not None and arguments.robot is None:
        print("soft-flow doctor: --json keeps what --robot FILE measures; name a cell too", file=sys.stderr)
        return 2
    if arguments.robot is not None:
        findings = _examine_robot(arguments, workspace)
    else:
        findings = list(_run(checks(workspace)))
    try:
        _print_table(findings)
    except ModuleNotFoundError:  # before set-up there is no rich
        _print_plain(findings)
    return exit_status(findings)


def exit_status(findings: list[Finding]) -> int:
    """Return 1 if a finding stops the path that was checked, else 0."""
    return int(any(finding.verdict is Verdict.FAULT for finding in findings))


def _run(pending: list[tuple[str, Callable[[], Finding]]]) -> Iterator[Finding]:
    for number, (subject, check) in enumerate(pending, 1):
        _show_progress(f"[{number}/{len(pending)}] {subject} ...")
        yield check()
    _show_progress("")


def _show_progress(text: str) -> None:
    if sys.stderr.isatty():
        print(f"\r\x1b[2K{text}", end="", file=sys.stderr, flush=True)


def _examine_robot(arguments: argparse.Namespace, workspace: Workspace) -> list[Finding]:
    """Ask the parts of the cell, then look at the computer."""
    computer = [check for check in checks(workspace) if check[0] in _OF_ROBOTS]
    try:
        from soft_flow_bringup.robot_doctor.robot_checks import RobotChecks
    except ModuleNotFoundError as error:
        unable = fault("Robot", f"it cannot be asked before set-up ({error})", "run ./soft-flow setup")
        return [unable, *_run(computer)]
    named = workspace.root / "config" / "tasks" / f"{arguments.task}.yaml"
    task = named if named.is_file() else Path(arguments.task)
    robot = RobotChecks(arguments.robot, task, arguments.episodes)
    findings: list[Finding] = []
    for subject, check in robot.run():
        _show_progress(f"{subject} ...")
        findings += check()
    findings += _run(computer)
    if arguments.json is not None:
        try:
            robot.write(arguments.json, findings)
        except OSError as error:
            text = f"{arguments.json}: cannot be written ({error.strerror})"
            findings.append(fault("Measurements", text, "name another file: --json FILE"))
    return findings


def _print_table(findings: Iterable[Finding]) -> None:
    from rich.console import Console
    from rich.markup import escape
    from rich.table import Table

    colours = {Verdict.GOOD: "green", Verdict.NOTE: "yellow", Verdict.FAULT: "bold red"}
    table = Table(show_lines=False)
    for title in ("check", "", "found", "what to do"):
        table.add_column(title, overflow="fold")
    for finding in findings:
        mark = f"[{colours[finding.verdict]}]{finding.verdict.value}[/]"
        table.add_row(escape(finding.subject), mark, escape(finding.detail), escape(finding.remedy))
    Console().print(table)


def _print_plain(findings: Iterable[Finding]) -> None:
    for finding in findings:
        print(f"{finding.verdict.value:6}{finding.subject}: {finding.detail}")
        if finding.remedy:
            print(f"      -> {finding.remedy}")
