"""Start a launch file: `soft-flow launch FILE [NAME:=VALUE ...]`.

FILE is a path, or a name in launch/. Where `ros2 launch` is on PATH it does the work; otherwise a runner that
reads the same XML. The graph gets a free ROS_DOMAIN_ID unless one is set. Ctrl-C ends all processes.
"""

from __future__ import annotations

import argparse
import os
import shutil
import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path

from soft_flow_bringup.workspace import Workspace


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the arguments of `soft-flow launch`."""
    parser.add_argument("file", help="launch file: a path, or a name in launch/")
    parser.add_argument("values", nargs="*", metavar="NAME:=VALUE", help="arguments of the launch file")
    parser.set_defaults(rest="values")
    parser.add_argument("--show-args", "-s", action="store_true", help="show the file's arguments and end")


def main(arguments: argparse.Namespace, workspace: Workspace) -> int:
    """Launch, or show the arguments."""
    if not arguments.show_args:
        return launch(workspace, arguments.file, arguments.values)
    if shutil.which("ros2"):
        return _hand_over([str(find_launch_file(workspace, arguments.file)), "--show-args"])
    from soft_flow_bringup.launch_arguments import show_arguments

    return _reporting_errors(lambda: show_arguments(find_launch_file(workspace, arguments.file)))


def launch(workspace: Workspace, file: str, values: Sequence[str]) -> int:
    """Run a launch file until its graph has ended; returns the exit status.

    Args:
        workspace: the checkout.
        file: a path, or a name in launch/.
        values: `NAME:=VALUE` texts.
    """
    return _reporting_errors(lambda: _launch(workspace, file, values))


def _launch(workspace: Workspace, file: str, values: Sequence[str]) -> int:
    path = find_launch_file(workspace, file)
    arguments = parse_values(values)
    with own_domain(os.environ) as domain:
        if shutil.which("ros2"):
            os.environ.update(domain)
            return _hand_over([str(path), *values])
        from soft_flow_bringup.launch_expansion import expand
        from soft_flow_bringup.launch_output import LaunchOutput
        from soft_flow_bringup.process_supervisor import ProcessSupervisor

        output = LaunchOutput()
        expansion = expand(path, arguments, {**os.environ, **domain})
        folder = workspace.log / "launch" / f"{time.strftime('%Y%m%d-%H%M%S')}-{os.getpid()}"
        folder.mkdir(parents=True)
        identifier = domain.get("ROS_DOMAIN_ID", os.environ.get("ROS_DOMAIN_ID"))
        output.event("launch", f"{path.name}: ROS_DOMAIN_ID {identifier}, logs in {folder}")
        return ProcessSupervisor(expansion.processes, folder, output).run()


def _hand_over(arguments: list[str]) -> int:
    from soft_flow_bringup.child_process import run_to_end

    return run_to_end(["ros2", "launch", *arguments], Path.cwd())


def _reporting_errors(action: Callable[[], int]) -> int:
    from soft_flow_bringup.launch_xml import LaunchFileError

    try:
        return action()
    except (LaunchFileError, ValueError, FileNotFoundError) as error:
        print(f"soft-flow launch: {error}", file=sys.stderr)
        return 1


def find_launch_file(workspace: Workspace, name: str) -> Path:
    """Return the launch file of a path or of a name in launch/ (with or without `.launch.xml`).

    Raises:
        FileNotFoundError: naming the files that there are.
    """
    folder = workspace.root / "launch"
    for candidate in (Path(name), folder / name, folder / f"{name}.launch.xml"):
        if candidate.is_file():
            return candidate.resolve()
    known = ", ".join(sorted(file.name for file in folder.glob("*.launch.xml"))) or "none"
    raise FileNotFoundError(f"there is no launch file {name!r}; in {folder} there are: {known}")


def parse_values(values: Sequence[str]) -> dict[str, str]:
    """Return `NAME:=VALUE` texts as a mapping; a later one wins.

    Raises:
        ValueError: a text has no `:=`.
    """
    parsed = {}
    for text in values:
        name, separator, value = text.partition(":=")
        if not (name and separator):
            raise ValueError(f"expected NAME:=VALUE, got {text!r}")
        parsed[name] = value
    return parsed


@contextmanager
def own_domain(environ: Mapping[str, str]) -> Iterator[dict[str, str]]:
    """Hold a free ROS_DOMAIN_ID while the graph runs; nothing where one was set on purpose."""
    if environ.get("ROS_DOMAIN_ID"):
        yield {}
        return
    from domain_coordinator import domain_id

    with domain_id() as identifier:
        yield {"ROS_DOMAIN_ID": str(identifier)}
