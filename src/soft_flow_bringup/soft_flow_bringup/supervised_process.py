"""One running process of a launched graph: its group, its output, its end."""

from __future__ import annotations

import contextlib
import ctypes
import os
import signal
import subprocess
from collections import deque
from collections.abc import Callable
from pathlib import Path
from typing import IO

from soft_flow_bringup.process_description import ProcessDescription

_TAIL_LINES = 20
_SET_PARENT_DEATH_SIGNAL = 1  # prctl(2), PR_SET_PDEATHSIG
_libc = ctypes.CDLL(None, use_errno=True)


def _die_with_parent() -> None:
    """Let the kernel end the child if this program is killed: no graph is left behind to move anything."""
    _libc.prctl(_SET_PARENT_DEATH_SIGNAL, signal.SIGTERM)


class SupervisedProcess:
    """A started process in a process group of its own.

    Args:
        label: prefix of its output, `name-number`.
        description: what to start.
        folder: where its parameter files and its log go.
        show: called with (label, line) for every line that belongs on the screen.
    """

    def __init__(
        self, label: str, description: ProcessDescription, folder: Path, show: Callable[[str, str], None]
    ) -> None:
        self.label = label
        self.description = description
        self.tail: deque[str] = deque(maxlen=_TAIL_LINES)
        self._show = show
        self._rest: dict[int, bytes] = {}
        self._log = (folder / f"{label}.log").open("ab", buffering=0)
        parameters = folder / label
        parameters.mkdir(exist_ok=True)
        self.popen = subprocess.Popen(
            description.command_line(parameters),
            cwd=description.folder,
            env=dict(description.environment),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            start_new_session=True,
            preexec_fn=_die_with_parent,
        )
        for stream in self.streams():
            os.set_blocking(stream.fileno(), False)

    def streams(self) -> list[IO[bytes]]:
        """Return its open output streams."""
        return [stream for stream in (self.popen.stdout, self.popen.stderr) if stream and not stream.closed]

    def read(self, stream: IO[bytes]) -> bool:
        """Take what a stream has to offer; returns False once it has ended."""
        try:
            data = os.read(stream.fileno(), 65536)
        except BlockingIOError:
            return True
        if not data:
            self._finish(stream)
            return False
        self._log.write(data)
        *lines, rest = (self._rest.get(stream.fileno(), b"") + data).split(b"\n")
        self._rest[stream.fileno()] = rest
        for line in lines:
            self._line(stream, line)
        return True

    def _line(self, stream: IO[bytes], line: bytes) -> None:
        text = line.decode("utf-8", "replace").rstrip("\r")
        self.tail.append(text)
        if self.description.on_screen or stream is self.popen.stderr:
            self._show(self.label, text)

    def _finish(self, stream: IO[bytes]) -> None:
        rest = self._rest.pop(stream.fileno(), b"")
        if rest:
            self._line(stream, rest)
        stream.close()

    def signal_group(self, number: signal.Signals) -> None:
        """Send a signal to the process and everything that it started."""
        with contextlib.suppress(ProcessLookupError):  # all of them have ended already
            os.killpg(self.popen.pid, number)

    def close(self) -> None:
        """After its end: take what is left of its output, end what it left running, close its files."""
        for stream in self.streams():
            if self.read(stream):
                self._finish(stream)
        self.signal_group(signal.SIGKILL)
        self._log.close()


def end_in_words(status: int) -> str:
    """Describe an exit status as subprocess gives it (negative: ended by a signal)."""
    if status >= 0:
        return f"exit status {status}"
    try:
        return f"ended by {signal.Signals(-status).name}"
    except ValueError:
        return f"ended by signal {-status}"
