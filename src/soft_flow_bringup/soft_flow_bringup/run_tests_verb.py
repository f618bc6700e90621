"""Run ruff, mypy and all tests of the packages and of test/, in a ROS domain of their own.

Further arguments after the paths go to pytest, for example: soft-flow test src/soft_flow_policy -k inverse -x
"""

from __future__ import annotations

import argparse
import subprocess
import sys
import time

from soft_flow_bringup.child_process import run_to_end
from soft_flow_bringup.workspace import Workspace

_LINT = (
    ("ruff check", ["ruff", "check", "--quiet"]),
    ("ruff format", ["ruff", "format", "--check", "--quiet"]),
    ("mypy", ["mypy"]),
)


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the arguments of `soft-flow test`."""
    parser.add_argument("-k", metavar="EXPRESSION", help="only tests whose names match (pytest -k)")
    parser.add_argument("-x", action="store_true", help="stop at the first failing test")
    only = parser.add_mutually_exclusive_group()
    only.add_argument("--no-lint", action="store_true", help="tests only")
    only.add_argument("--lint-only", action="store_true", help="ruff and mypy only")
    parser.add_argument("paths", nargs="*", help="folders or files to test (default: all)")


def main(arguments: argparse.Namespace, workspace: Workspace) -> int:
    """Run lint, then the tests even if lint failed; 0 only if all is well."""
    failed = [] if arguments.no_lint else _lint(workspace)
    status = 0
    if not arguments.lint_only:
        command = [sys.executable, "-m", "pytest", *pytest_arguments(arguments)]
        status = run_to_end(command, workspace.root)
    if failed:
        print(f"soft-flow test: {', '.join(failed)} failed (see above)", file=sys.stderr)
    return status or int(bool(failed))


def pytest_arguments(arguments: argparse.Namespace) -> list[str]:
    """Return pytest's arguments for those of the verb."""
    selected = ["-k", arguments.k] if arguments.k else []
    return [
        *selected,
        *(["-x"] if arguments.x else []),
        "--durations=10",
        "--continue-on-collection-errors",
        *arguments.paths,
    ]


def _lint(workspace: Workspace) -> list[str]:
    """Run the linters one after another; returns the names of those that failed."""
    failed = []
    for name, command in _LINT:
        began = time.monotonic()
        result = subprocess.run(
            [sys.executable, "-m", *command], cwd=workspace.root, capture_output=True, text=True, check=False
        )
        verdict = "failed" if result.returncode else "ok"
        print(f"{name}: {verdict} ({time.monotonic() - began:.0f} s)", flush=True)
        if result.returncode:
            print(result.stdout + result.stderr, flush=True)
            failed.append(name)
    return failed
