"""Runs probes: programs that ask one part of a robot, each in a process of its own with a time limit.

A library that hangs or crashes costs its probe, never the doctor.
"""

import os
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from soft_flow_bringup.robot_doctor.probe_report import DOING, MEASURED, told

TIMED_OUT = 124  # exit status, as of timeout(1)
_UNTIL_DEAD = 2.0  # s for which a killed probe is waited for; one that hangs in the kernel is left behind


@dataclass(frozen=True)
class ProbeAnswer:
    """What came of a probe.

    Attributes:
        status: exit status; TIMED_OUT if it was ended for its time limit.
        doing: what it was doing last.
        measured: its measurement; None if it came to none.
        said: the last line of what else was printed, an exception for example.
        seconds: how long it took.
    """

    status: int
    doing: str
    measured: dict[str, Any] | None
    said: str
    seconds: float

    @property
    def problem(self) -> str:
        """Why there is no measurement, in words; empty if there is one."""
        if self.measured is not None:
            return ""
        where = f" while {self.doing}" if self.doing else ""
        if self.status == TIMED_OUT:
            return f"no answer within {self.seconds:.0f} s{where}"
        return f"the probe ended with status {self.status}{where}: {self.said or 'it said nothing'}"


class Probe:
    """A running probe. Its output goes to a file: a pipe would be kept open by what it may leave behind."""

    def __init__(self, module: str, arguments: Sequence[str], limit: float) -> None:
        """Start `python -m module`; `limit` seconds from now it is ended."""
        self._limit, self._began = limit, time.monotonic()
        self._output = tempfile.TemporaryFile()  # noqa: SIM115 - `answer` closes it
        self._process = subprocess.Popen(
            [sys.executable, "-m", module, *arguments],
            stdin=subprocess.DEVNULL, stdout=self._output, stderr=subprocess.STDOUT,
            env={**os.environ, "PYTHONUNBUFFERED": "1"}, start_new_session=True,
        )  # fmt: skip

    def answer(self) -> ProbeAnswer:
        """Wait for its end, at most for its limit."""
        try:
            status = self._process.wait(max(self._began + self._limit - time.monotonic(), 0))
        except subprocess.TimeoutExpired:
            status = TIMED_OUT
            self._kill()
        seconds = time.monotonic() - self._began
        with self._output:
            self._output.seek(0)
            text = self._output.read().decode(errors="replace")
        last, measured = told(text)
        others = [line for line in text.strip().splitlines() if not line.startswith((DOING, MEASURED))]
        return ProbeAnswer(status, last, measured, others[-1] if others else "", seconds)

    def _kill(self) -> None:
        try:
            os.killpg(self._process.pid, signal.SIGKILL)
        except ProcessLookupError:
            return  # it has just ended
        try:
            self._process.wait(_UNTIL_DEAD)
        except subprocess.TimeoutExpired:
            return  # in the kernel: it will die when the device lets go of it


def run_probe(module: str, arguments: Sequence[str], limit: float) -> ProbeAnswer:
    """Run one probe to its end."""
    return Probe(module, arguments, limit).answer()
