"""Make the virtual environment, install what is missing, build the packages.

Needs no root: Debian packages that are missing are named with the line that installs them (as root
they are installed). In a shell where ROS 2 Jazzy is sourced that is used; otherwise ROS 2 comes as
wheels. Every step that is current is skipped, so this can be repeated, and resumed when interrupted.
"""

from __future__ import annotations

import argparse
import os
import shutil
import sys

from soft_flow_bringup.environment_setup import set_up
from soft_flow_bringup.workspace import Workspace


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the arguments of `soft-flow setup`."""
    parser.add_argument("--rebuild", action="store_true", help="build the packages even if they are current")
    parser.add_argument("--clean", action="store_true", help="remove .venv, build and install first")
    parser.add_argument(
        "--torch-index",
        metavar="URL",
        help="additional package index for PyTorch: the one of its CPU builds spares several GB of CUDA "
        "libraries on a machine without a GPU (the URL is on PyTorch's installation page)",
    )


def main(arguments: argparse.Namespace, workspace: Workspace) -> int:
    """Run set-up."""
    if arguments.clean:
        for folder in (workspace.environment, workspace.root / "build", workspace.install):
            shutil.rmtree(folder, ignore_errors=True)
    environ = dict(os.environ)
    if arguments.torch_index:
        environ["PIP_EXTRA_INDEX_URL"] = (
            f"{environ.get('PIP_EXTRA_INDEX_URL', '')} {arguments.torch_index}".strip()
        )
    set_up(workspace, environ, rebuild=arguments.rebuild)
    print("Ready. Next: ./soft-flow demo   (or `. env.bash` for a shell of your own)", file=sys.stderr)
    return 0
