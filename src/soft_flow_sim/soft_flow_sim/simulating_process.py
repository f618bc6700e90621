"""Simulating processes that are no ROS nodes, though a launch file starts and ends them like nodes."""

import signal
import sys
from collections.abc import Callable

from soft_flow_contract.errors import ContractError


class StopSignal:
    """Becomes true when the process is told to end (SIGTERM, SIGINT); call it to look."""

    def __init__(self) -> None:
        self._told = False
        signal.signal(signal.SIGTERM, self._on_signal)
        signal.signal(signal.SIGINT, self._on_signal)

    def _on_signal(self, *_: object) -> None:
        self._told = True

    def __call__(self) -> bool:
        """Whether the process was told to end."""
        return self._told


def own_arguments() -> list[str]:
    """The command line's arguments; what a launch file adds from `--ros-args` on is left out."""
    arguments = sys.argv[1:]
    return arguments[: arguments.index("--ros-args")] if "--ros-args" in arguments else arguments


def run_process(run: Callable[[list[str]], None]) -> None:
    """Run with the process's own arguments; a broken configuration is one line and exit status 2."""
    try:
        run(own_arguments())
    except ContractError as error:
        print(f"error: {error}", file=sys.stderr)
        sys.exit(2)
