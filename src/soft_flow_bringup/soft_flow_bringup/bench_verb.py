"""Run one benchmark; it writes benchmarks/results/NAME.md and NAME.json.

Arguments after the name go to the benchmark.
"""

from __future__ import annotations

import argparse
import difflib
import sys
from pathlib import Path

from soft_flow_bringup.child_process import run_to_end
from soft_flow_bringup.workspace import Workspace, find_workspace


def benchmarks(workspace: Workspace) -> dict[str, Path]:
    """Return the benchmarks by name: the programs in benchmarks/ (not their parts, which have no `main`)."""
    files = sorted((workspace.root / "benchmarks").glob("[!_]*.py"))
    return {
        file.stem: file for file in files if 'if __name__ == "__main__"' in file.read_text(encoding="utf-8")
    }


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the arguments of `soft-flow bench`."""
    names = ", ".join(benchmarks(find_workspace())) or "none yet"
    parser.add_argument("name", help=f"one of: {names}")
    parser.add_argument("options", nargs=argparse.REMAINDER, help="options of the benchmark")


def main(arguments: argparse.Namespace, workspace: Workspace) -> int:
    """Run the benchmark."""
    known = benchmarks(workspace)
    if arguments.name not in known:
        near = difflib.get_close_matches(arguments.name, known, n=1)
        hint = f"did you mean {near[0]}?" if near else f"there are: {', '.join(known) or 'none'}"
        print(f"soft-flow bench: no benchmark {arguments.name!r}; {hint}", file=sys.stderr)
        return 2
    return run_to_end([sys.executable, str(known[arguments.name]), *arguments.options], workspace.root)
