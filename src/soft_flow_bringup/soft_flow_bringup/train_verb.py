"""Train the policy from a folder of bags.

Arguments go to soft_flow_learner.train, whose own help is `./soft-flow train -- -h`.
"""

from __future__ import annotations

import argparse
import sys

from soft_flow_bringup.child_process import run_to_end
from soft_flow_bringup.workspace import Workspace


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the arguments of `soft-flow train`."""
    parser.add_argument(
        "options", nargs=argparse.REMAINDER, help="options of `python -m soft_flow_learner.train`"
    )


def main(arguments: argparse.Namespace, workspace: Workspace) -> int:
    """Run the trainer."""
    options = [option for option in arguments.options if option != "--"]
    return run_to_end([sys.executable, "-m", "soft_flow_learner.train", *options], workspace.root)
