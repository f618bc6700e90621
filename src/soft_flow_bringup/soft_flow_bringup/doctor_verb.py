"""Check this machine and the workspace, and say for each failure what to do.

Really renders a frame and really sends a message between two processes. Exit status 1 if something stops
the simulated path.
"""

from __future__ import annotations

import argparse
import os
import shutil
import sys
from collections.abc import Callable, Iterator

from soft_flow_bringup import doctor_judgements as judge
from soft_flow_bringup import doctor_measurements as measure
from soft_flow_bringup.environment_setup import stale_parts
from soft_flow_bringup.finding import Finding, Verdict
from soft_flow_bringup.workspace import Workspace, native_ros_prefix


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the arguments of `soft-flow doctor`: none."""


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
    findings = list(_run(checks(workspace)))
    try:
        _print_table(findings)
    except ModuleNotFoundError:  # before set-up there is no rich
        _print_plain(findings)
    return exit_status(findings)


def exit_status(findings: list[Finding]) -> int:
    """Return 1 if a finding stops the simulated path, else 0."""
    return int(any(finding.verdict is Verdict.FAULT for finding in findings))


def _run(pending: list[tuple[str, Callable[[], Finding]]]) -> Iterator[Finding]:
    for number, (subject, check) in enumerate(pending, 1):
        if sys.stderr.isatty():
            print(f"\r\x1b[2K[{number}/{len(pending)}] {subject} ...", end="", file=sys.stderr, flush=True)
        yield check()
    if sys.stderr.isatty():
        print("\r\x1b[2K", end="", file=sys.stderr, flush=True)


def _print_table(findings: list[Finding]) -> None:
    from rich.console import Console
    from rich.table import Table

    colours = {Verdict.GOOD: "green", Verdict.NOTE: "yellow", Verdict.FAULT: "bold red"}
    table = Table(show_lines=False)
    for title in ("check", "", "found", "what to do"):
        table.add_column(title, overflow="fold")
    for finding in findings:
        mark = f"[{colours[finding.verdict]}]{finding.verdict.value}[/]"
        table.add_row(finding.subject, mark, finding.detail, finding.remedy)
    Console().print(table)


def _print_plain(findings: list[Finding]) -> None:
    for finding in findings:
        print(f"{finding.verdict.value:6}{finding.subject}: {finding.detail}")
        if finding.remedy:
            print(f"      -> {finding.remedy}")
