"""Let a trained policy drive through the ROS graph: one MCAP bag an episode in the output folder.

Starts launch/rollout.launch.xml. Further NAME:=VALUE go to the launch file; `./soft-flow launch
launch/rollout.launch.xml --show-args` lists them.
"""

from __future__ import annotations

import argparse
from pathlib import Path

from soft_flow_bringup.launch_verb import launch
from soft_flow_bringup.workspace import Workspace


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the arguments of `soft-flow rollout`."""
    parser.add_argument("--checkpoint", type=Path, required=True, help="folder of a trained policy")
    parser.add_argument("--output", type=Path, required=True, help="folder that receives the bags")
    parser.add_argument("--episodes", type=int, default=20, help="how many episodes (default: %(default)s)")
    parser.add_argument("--seed", type=int, help="seed of the first episode (default: the launch file's)")
    parser.add_argument("--task", default="scissors", help="task in config/tasks (default: %(default)s)")
    parser.add_argument(
        "values", nargs="*", metavar="NAME:=VALUE", help="further arguments of the launch file"
    )
    parser.set_defaults(rest="values")


def launch_values(arguments: argparse.Namespace) -> list[str]:
    """Return the launch file's arguments, as NAME:=VALUE texts; those of the user come last and win."""
    own = {
        "checkpoint": str(arguments.checkpoint.resolve()),
        "output": str(arguments.output.resolve()),
        "episodes": str(arguments.episodes),
        "task": arguments.task,
    }
    if arguments.seed is not None:
        own["first_seed"] = str(arguments.seed)
    return [*(f"{name}:={value}" for name, value in own.items()), *arguments.values]


def main(arguments: argparse.Namespace, workspace: Workspace) -> int:
    """Launch the graph and return its exit status."""
    return launch(workspace, "rollout.launch.xml", launch_values(arguments))
