"""The whole path in one go: demonstrations through the ROS graph, four stages of learning, report.

Arguments go to soft_flow_bringup.demo, whose own help is `./soft-flow demo -- -h`.
"""

from __future__ import annotations

import argparse
import sys

from soft_flow_bringup.child_process import run_to_end
from soft_flow_bringup.workspace import Workspace


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the arguments of `soft-flow demo`."""
    parser.set_defaults(rest="options")


def main(arguments: argparse.Namespace, workspace: Workspace) -> int:
    """Run the demo."""
    return run_to_end([sys.executable, "-m", "soft_flow_bringup.demo", *arguments.options], workspace.root)
