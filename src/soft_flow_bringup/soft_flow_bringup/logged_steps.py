"""Run long commands one after another: their output goes to a log, a line of progress to the terminal.

Only the standard library is imported here: set-up runs before anything is installed.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import time
from collections.abc import Mapping
from pathlib import Path
from typing import TextIO

_TERMINAL_PERIOD = 0.2  # seconds between redraws on a terminal
_PLAIN_PERIOD = 20.0  # seconds between lines where the output is a file, as in CI
_TAIL_LINES = 30


class LoggedSteps:
    """Runs commands as numbered steps.

    Args:
        log: file that receives everything the commands print; started anew.
        count: number of steps that are announced.
        out: where progress goes.
    """

    def __init__(self, log: Path, count: int, out: TextIO = sys.stderr) -> None:
        log.parent.mkdir(parents=True, exist_ok=True)
        log.write_text("", encoding="utf-8")
        self.log = log
        self._count = count
        self._step = 0
        self._out = out

    def run(self, title: str, command: list[str], environ: Mapping[str, str] | None = None) -> None:
        """Run one command to its end.

        Raises:
            subprocess.CalledProcessError: it failed; `output` holds the last lines that it printed.
        """
        self._step += 1
        began = time.monotonic()
        with self.log.open("a+", encoding="utf-8", errors="replace") as log:
            log.write(f"\n$ {' '.join(command)}\n")
            log.flush()
            process = subprocess.Popen(
                command, stdin=subprocess.DEVNULL, stdout=log, stderr=subprocess.STDOUT, env=environ
            )
            try:
                self._watch(process, title, began)
            except BaseException:
                process.terminate()
                process.wait()
                raise
        if process.returncode:
            self._say(title, f"failed after {time.monotonic() - began:.0f} s", end="\n")
            tail = "\n".join(self._lines()[-_TAIL_LINES:])
            raise subprocess.CalledProcessError(process.returncode, command, output=tail)
        self._say(title, f"done in {time.monotonic() - began:.0f} s", end="\n")

    def note(self, title: str, text: str) -> None:
        """Report a step that needed no command."""
        self._step += 1
        self._say(title, text, end="\n")

    def _lines(self) -> list[str]:
        with self.log.open("rb") as log:
            log.seek(max(0, os.path.getsize(self.log) - 16384))
            return log.read().decode("utf-8", "replace").replace("\r", "\n").splitlines()

    def _watch(self, process: subprocess.Popen[bytes], title: str, began: float) -> None:
        period = _TERMINAL_PERIOD if self._out.isatty() else _PLAIN_PERIOD
        while True:
            try:
                process.wait(timeout=period)
                return
            except subprocess.TimeoutExpired:
                said = (line.strip() for line in reversed(self._lines()))
                last = next((line for line in said if line and "WARNING" not in line), "")
                end = "" if self._out.isatty() else "\n"
                self._say(title, f"{time.monotonic() - began:.0f} s  {last}", end=end)

    def _say(self, title: str, text: str, end: str) -> None:
        line = f"[{self._step}/{self._count}] {title}: {text}"
        width = shutil.get_terminal_size().columns - 1
        line = "\r\x1b[2K" + line[:width] if self._out.isatty() else line[:200]
        self._out.write(line + end)
        self._out.flush()
