"""Run one program in the foreground on behalf of a verb, and answer with its exit status."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

# Threads that wait for each other sleep. On a machine with other work, those that spin instead burn more than
# ten times the processor time of what they compute; on an idle one it makes no difference.
SLEEPING_THREADS = {"OMP_WAIT_POLICY": "PASSIVE"}


def run_to_end(command: list[str], folder: Path) -> int:
    """Run a command with the terminal as it is; return its exit status (128 + signal if one ended it).

    Ctrl-C reaches the child directly (same process group); here it is only awaited, so that the child can
    save what it has and its own exit status is the answer.
    """
    process = subprocess.Popen(command, cwd=folder, env={**SLEEPING_THREADS, **os.environ})
    while True:
        try:
            status = process.wait()
            return status if status >= 0 else 128 - status
        except KeyboardInterrupt:
            continue
