"""Play the transitions of recorded bags to a running learner, at the pace at which it acknowledges them.

Nothing but transitions is published, so nothing can move a robot. It ends with 0 once the learner has
committed every episode, or has said why it dropped one; with 1 naming what is missing; with 3 if there is no
learner. A running graph is met in its own domain: `./soft-flow launch` prints its ROS_DOMAIN_ID, so

    ROS_DOMAIN_ID=7 ./soft-flow replay runs/demo/demonstrations

Labels that were corrected after the recording (labels.jsonl beside the bags) are honoured.

Where `ros2 bag` is installed, `ros2 bag play DIR --topics transitions --delay 2` plays one bag as well, but
in real time, without acknowledgement and without corrected labels.
"""

from __future__ import annotations

import argparse
import json
import os
import sys
from pathlib import Path

from soft_flow_bringup.child_process import run_to_end
from soft_flow_bringup.workspace import Workspace


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the arguments of `soft-flow replay`."""
    parser.add_argument(
        "bags", nargs="+", type=Path, metavar="DIR", help="a bag, or a folder that holds bags"
    )
    parser.add_argument(
        "--rate",
        type=float,
        default=0.0,
        help="1: real time, 2: twice as fast; 0 (default): as fast as it goes",
    )
    parser.add_argument(
        "--topics",
        default="transitions",
        metavar="NAME",
        help="name of the transitions topic in the bags (default: %(default)s)",
    )
    parser.add_argument(
        "--namespace", default="", metavar="NS", help="namespace of the learner (default: none)"
    )


def node_command(arguments: argparse.Namespace) -> list[str]:
    """The command that starts the bag player; values are quoted so that none is taken for a number."""
    values = {
        "bags": json.dumps(os.pathsep.join(str(bag.resolve()) for bag in arguments.bags), ensure_ascii=False),
        "topic": json.dumps(arguments.topics, ensure_ascii=False),
        "rate": str(arguments.rate),
    }
    command = [sys.executable, "-m", "soft_flow_learner.stream.bag_player_node", "--ros-args"]
    for name, value in values.items():
        command += ["-p", f"{name}:={value}"]
    if arguments.namespace.strip("/"):
        command += ["-r", f"__ns:=/{arguments.namespace.strip('/')}"]
    return command


def main(arguments: argparse.Namespace, workspace: Workspace) -> int:
    """Play the bags and return the player's exit status."""
    return run_to_end(node_command(arguments), Path.cwd())
