"""Train the policy from a folder of bags.

Arguments go to soft_flow_learner.train, whose own help is `./soft-flow train -- -h`.
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from soft_flow_bringup.child_process import run_to_end
from soft_flow_bringup.workspace import Workspace


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the arguments of `soft-flow train`."""
    parser.set_defaults(rest="options")


def main(arguments: argparse.Namespace, workspace: Workspace) -> int:
    """Run the trainer."""
    return run_to_end([sys.executable, "-m", "soft_flow_learner.train", *arguments.options], Path.cwd())
