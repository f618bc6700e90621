"""Finds the processes of a graph by the names of their nodes, and hurts them."""

import os
import signal
from pathlib import Path


class ProcessNotFoundError(RuntimeError):
    """No process of the graph has this name."""


def find_process(name: str, domain: str) -> int:
    """Process id of a node (`__node:=name`) in a ROS domain.

    Raises:
        ProcessNotFoundError: there is none.
    """
    for folder in Path("/proc").glob("[0-9]*"):
        try:
            command = (folder / "cmdline").read_bytes().split(b"\0")
            environment = (folder / "environ").read_bytes().split(b"\0")
        except OSError:
            continue  # it has ended, or is somebody else's
        if f"__node:={name}".encode() in command and f"ROS_DOMAIN_ID={domain}".encode() in environment:
            return int(folder.name)
    raise ProcessNotFoundError(f"no process of node '{name}' in domain {domain}")


def kill(name: str, domain: str) -> None:
    """End a node's process at once, without a chance to clean up."""
    os.kill(find_process(name, domain), signal.SIGKILL)


class Freeze:
    """A process that is stopped until it is thawed: a network or a scheduler that lost it."""

    def __init__(self, name: str, domain: str) -> None:
        self._process = find_process(name, domain)

    def begin(self) -> None:
        """Stop it."""
        os.kill(self._process, signal.SIGSTOP)

    def end(self) -> None:
        """Let it go on, if it still lives."""
        try:
            os.kill(self._process, signal.SIGCONT)
        except ProcessLookupError:
            return
