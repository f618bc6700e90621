"""Ask a running graph for something, as `ros2 service call` and `ros2 action send_goal` do, without ros2.

    ./soft-flow call emergency_stop
    ./soft-flow call episode/end success

It finds the graph whose ROS_DOMAIN_ID it has: `./soft-flow launch` takes a free one unless one is set, so set
one in every shell. Ctrl-C cancels an action. Exit status 1 if the answer was no, or nobody answered.
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from soft_flow_bringup.child_process import run_to_end
from soft_flow_bringup.workspace import Workspace

CALLS = {
    "emergency_stop": "stop, and remember it across restarts",
    "emergency_reset": "release the emergency stop; nothing is armed by it",
    "arm/recover": "clear the arm's errors, follow commands again",
    "hand/recover": "clear the hand's fault, follow commands again",
    "hand/torque": "on | off: let the hand hold, or go limp",
    "hand/neutral": "drive the hand slowly to its neutral pose",
    "hand/reboot": "restart motors; hand/recover has to follow",
    "hand/calibrate": "[force]: drive the hand's joints against their stops",
    "arbiter/go_to_start": "drive slowly to the start of an episode",
    "episode/start": "[seed]: begin an episode",
    "episode/end": "success | failure | discard: end the episode, with its label",
    "episode/label": "success | failure | discard [episode]: label it, or correct its label",
}


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the arguments of `soft-flow call`."""
    width = max(map(len, CALLS))
    parser.epilog = "\n".join(["names:", *(f"  {name:{width}}  {text}" for name, text in CALLS.items())])
    parser.add_argument("name", choices=CALLS, metavar="NAME", help="service or action, see below")
    parser.add_argument("values", nargs="*", metavar="VALUE", help="what it takes, see below")


def main(arguments: argparse.Namespace, workspace: Workspace) -> int:
    """Ask, and print the answer."""
    command = [sys.executable, "-m", "soft_flow_bringup.call_node", arguments.name, *arguments.values]
    return run_to_end(command, Path.cwd())
