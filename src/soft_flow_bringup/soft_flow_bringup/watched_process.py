"""Runs a long command with its output in a log, watches it, and stops it gently when its time is over."""

import os
import signal
import subprocess
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

POLL = 0.25  # s between looks at a running process
GRACE = ((signal.SIGINT, 20.0), (signal.SIGTERM, 5.0), (signal.SIGKILL, 5.0))  # signal, s to wait for the end
TAIL_LINES = 15


@dataclass(frozen=True)
class Ended:
    """How a command ended.

    Attributes:
        status: its exit status; negative for a signal.
        timed_out: whether it was stopped because its time was over.
        log: everything that it printed.
    """

    status: int
    timed_out: bool
    log: Path

    def tail(self) -> str:
        """The last lines that it printed."""
        return "\n".join(self.log.read_text(encoding="utf-8", errors="replace").splitlines()[-TAIL_LINES:])


def stop_group(process: subprocess.Popen[bytes]) -> None:
    """End a process and its children: first as Ctrl-C does, then firmly."""
    for number, wait in GRACE:
        if process.poll() is not None:
            return
        os.killpg(process.pid, number)
        try:
            process.wait(timeout=wait)
        except subprocess.TimeoutExpired:
            continue


def run_watched(
    command: Sequence[str],
    log: Path,
    environ: Mapping[str, str],
    watch: Callable[[], None] = lambda: None,
    limit: float = float("inf"),
) -> Ended:
    """Run `command` to its end, or for `limit` seconds.

    Args:
        command: program and arguments.
        log: output is appended to this file.
        environ: environment of the command.
        watch: called several times a second while it runs, and once at the end.
        limit: s; afterwards it is interrupted as by Ctrl-C and given time to finish cleanly.

    Raises:
        KeyboardInterrupt: passed on after the command was stopped.
    """
    log.parent.mkdir(parents=True, exist_ok=True)
    end = time.monotonic() + limit
    with log.open("ab") as output:
        output.write(f"$ {' '.join(command)}\n".encode())
        output.flush()
        process = subprocess.Popen(
            command,
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT,
            env=dict(environ),
            start_new_session=True,  # Ctrl-C reaches this process alone, which then stops the command
        )
        try:
            timed_out = _wait(process, watch, end)
        finally:
            stop_group(process)
    watch()
    return Ended(process.returncode, timed_out, log)


def _wait(process: subprocess.Popen[bytes], watch: Callable[[], None], end: float) -> bool:
    """Wait for the end of the process; True if the time was over before."""
    while True:
        try:
            process.wait(timeout=POLL)
            return False
        except subprocess.TimeoutExpired:
            watch()
        if time.monotonic() > end:
            return True
