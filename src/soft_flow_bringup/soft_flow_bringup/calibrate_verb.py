"""Calibrate the cameras of a cell: what a camera measures (intrinsics), and where it is mounted (hand-eye).

    ./soft-flow calibrate board --output board.pdf
    ./soft-flow calibrate intrinsics --camera wrist_palm --robot config/robots/NAME.yaml
    ./soft-flow calibrate hand-eye --camera wrist_palm --robot config/robots/NAME.yaml --samples DIR --write

Each has its own help: `./soft-flow calibrate intrinsics -h`. docs/camera_calibration.md tells all of it.
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from soft_flow_bringup.child_process import run_to_end
from soft_flow_bringup.workspace import Workspace

PARTS = ("board", "intrinsics", "hand-eye")


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the arguments of `soft-flow calibrate`."""
    parser.add_argument("part", choices=PARTS, help="what to do")
    parser.add_argument("options", nargs=argparse.REMAINDER, help="its options")


def main(arguments: argparse.Namespace, workspace: Workspace) -> int:
    """Run the part of the tool."""
    command = [sys.executable, "-m", "soft_flow_perception.calibration.command"]
    return run_to_end([*command, arguments.part, *arguments.options], Path.cwd())
