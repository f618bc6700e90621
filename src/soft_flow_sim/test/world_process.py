"""A world of the simulated protocols in a process of its own, for tests."""

import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import yaml

from soft_flow_sim.control_socket import request
from soft_flow_sim.protocol.protocol_world import CONTROL_SOCKET, WORLD_FILE
from soft_flow_sim.shared_world import SharedWorld

ROOT = Path(__file__).parents[3]
TASK_FILE = ROOT / "config" / "tasks" / "scissors.yaml"
CELL_FILE = ROOT / "config" / "robots" / "protocol_sim.yaml"


def free_address() -> str:
    """A loopback address on which nobody serves an FCI."""
    import socket

    for last in range(2, 250):
        with socket.socket() as probe:
            try:
                probe.bind((f"127.0.77.{last}", 1337))
            except OSError:
                continue
            return f"127.0.77.{last}"
    raise AssertionError("no free loopback address")


class World:
    """A running world."""

    def __init__(self, folder: Path, cell: Path, address: str, process: subprocess.Popen[str]) -> None:
        self.folder, self.cell, self.address, self.process = folder, cell, address, process
        self.shared = SharedWorld.open(folder / WORLD_FILE)

    def ask(self, **content: Any) -> dict[str, Any]:
        return request(self.folder / CONTROL_SOCKET, content)


@contextmanager
def running_world(folder: Path, *options: str) -> Iterator[World]:
    """Start a world whose files are in `folder`, and end it."""
    address = free_address()
    cell = yaml.safe_load(CELL_FILE.read_text())
    cell["arm"]["address"] = address
    cell["hand"]["port"] = str(folder / "hand")
    cell_file = folder / "cell.yaml"
    folder.mkdir(parents=True, exist_ok=True)
    cell_file.write_text(yaml.safe_dump(cell))
    command = [sys.executable, "-m", "soft_flow_sim.protocol.protocol_world", "--folder", str(folder)]
    command += ["--robot-file", str(cell_file), "--task-file", str(TASK_FILE), *options]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
    try:
        assert process.stdout is not None
        assert "FCI at" in process.stdout.readline()
        yield World(folder, cell_file, address, process)
    finally:
        process.terminate()
        process.wait(timeout=20)
