"""Runs a long command with its output in a log, watches it, and stops it gently when its time is over."""

import os
import signal
import subprocess
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType

from typing_extensions import Self

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


class WatchedProcess:
    """A running command with its children; leaving the context stops them: as Ctrl-C does, then firmly.

    Within the context of the main thread SIGTERM is a KeyboardInterrupt too, or the command would go on
    without the one who watches it.
    """

    def __init__(self, command: Sequence[str], log: Path, environ: Mapping[str, str]) -> None:
        """Start `command`; its output is appended to `log`."""
        self._takes_sigterm = False
        log.parent.mkdir(parents=True, exist_ok=True)
        with log.open("ab") as output:
            output.write(f"$ {' '.join(command)}\n".encode())
            output.flush()
            self._process = subprocess.Popen(
                command,
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
                env=dict(environ),
                start_new_session=True,  # Ctrl-C reaches this process alone, which then stops the command
            )

    def running(self, wait: float = POLL) -> bool:
        """Whether it still runs; waits up to `wait` seconds for its end."""
        try:
            self._process.wait(timeout=wait)
        except subprocess.TimeoutExpired:
            return True
        return False

    @property
    def status(self) -> int:
        """Exit status of the ended process; negative for a signal."""
        return self._process.wait()

    def stop(self) -> None:
        """End it and its children."""
        for number, wait in GRACE:
            if self._process.poll() is not None:
                return
            os.killpg(self._process.pid, number)
            self.running(wait)

    def __enter__(self) -> Self:
        """It runs already."""
        in_main = threading.current_thread() is threading.main_thread()
        self._takes_sigterm = in_main and signal.getsignal(signal.SIGTERM) is signal.SIG_DFL
        if self._takes_sigterm:
            signal.signal(signal.SIGTERM, signal.default_int_handler)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Stop it."""
        try:
            self.stop()
        finally:
            if self._takes_sigterm:
                signal.signal(signal.SIGTERM, signal.SIG_DFL)


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
    """
    end, timed_out = time.monotonic() + limit, False
    with WatchedProcess(command, log, environ) as process:
        while process.running() and not timed_out:
            watch()
            timed_out = time.monotonic() > end
    watch()
    return Ended(process.status, timed_out, log)
