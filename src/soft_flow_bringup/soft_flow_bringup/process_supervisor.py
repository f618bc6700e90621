"""Run the processes of a launched graph together, and end them together.

The graph ends when all have ended, when a required one has, or on SIGINT or SIGTERM. Ending it means SIGINT
to every process group, SIGTERM to those that are still there after a while, then SIGKILL; a further Ctrl-C
shortens each wait.
"""

from __future__ import annotations

import selectors
import signal
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from types import FrameType

from soft_flow_bringup.launch_output import LaunchOutput
from soft_flow_bringup.process_description import ProcessDescription
from soft_flow_bringup.supervised_process import SupervisedProcess, end_in_words

_POLL_PERIOD = 0.05  # seconds
_ESCALATION = (signal.SIGINT, signal.SIGTERM, signal.SIGKILL)
INTERRUPTED = 130  # exit status after Ctrl-C, as a shell gives it


class ProcessSupervisor:
    """Starts processes in order and watches them from one thread.

    Args:
        descriptions: what to start.
        folder: an existing folder for logs and parameter files.
        output: shows lines and events.
        grace: seconds from SIGINT to SIGTERM, and from SIGTERM to SIGKILL.
    """

    def __init__(
        self,
        descriptions: Sequence[ProcessDescription],
        folder: Path,
        output: LaunchOutput,
        grace: tuple[float, float] = (5.0, 5.0),
    ) -> None:
        self._waiting = [(0.0, number, description) for number, description in enumerate(descriptions, 1)]
        self._running: dict[int, SupervisedProcess] = {}
        self._folder = folder
        self._output = output
        self._grace = (*grace, float("inf"))
        self._selector = selectors.DefaultSelector()
        self._interrupts = 0
        self._stage = -1  # index into _ESCALATION; -1 while the graph runs
        self._stage_ends = 0.0
        self._status = 0
        self._verdict_is_final = False

    def run(self) -> int:
        """Run until the graph has ended.

        Returns:
            0 if the required process that ended it ended with 0, or if all processes did; the status of the
            process that failed otherwise (1 if a signal ended it); 130 after an interruption.
        """
        with self._signals():
            while self._waiting or self._running:
                self._start_due()
                self._take_output()
                self._collect_ended()
                self._proceed()
        self._selector.close()
        return self._status

    @contextmanager
    def _signals(self) -> Iterator[None]:
        def interrupt(number: int, frame: FrameType | None) -> None:
            self._interrupts += 1

        before = {number: signal.signal(number, interrupt) for number in (signal.SIGINT, signal.SIGTERM)}
        try:
            yield
        finally:
            for number, handler in before.items():
                signal.signal(number, handler)
            for process in self._running.values():  # only after an error of our own
                process.signal_group(signal.SIGKILL)

    def _start_due(self) -> None:
        now = time.monotonic()
        for entry in [entry for entry in self._waiting if entry[0] <= now and self._stage < 0]:
            self._waiting.remove(entry)
            self._start(entry[1], entry[2])

    def _start(self, number: int, description: ProcessDescription) -> None:
        label = f"{description.name}-{number}"
        try:
            process = SupervisedProcess(label, description, self._folder, self._output.line)
        except OSError as error:
            self._output.event(label, f"cannot be started: {error}", bad=True)
            self._conclude(1, f"{label} could not be started")
            return
        self._output.event(label, f"started (pid {process.popen.pid})")
        self._running[number] = process
        for stream in process.streams():
            self._selector.register(stream, selectors.EVENT_READ, process)

    def _take_output(self) -> None:
        if not self._selector.get_map():
            time.sleep(_POLL_PERIOD)
        for key, _ in self._selector.select(_POLL_PERIOD):
            if not key.data.read(key.fileobj):
                self._selector.unregister(key.fileobj)

    def _collect_ended(self) -> None:
        for number, process in list(self._running.items()):
            status = process.popen.poll()
            if status is None:
                continue
            for stream in process.streams():
                self._selector.unregister(stream)
            process.close()
            del self._running[number]
            self._ended(number, process, status)

    def _ended(self, number: int, process: SupervisedProcess, status: int) -> None:
        if self._stage >= 0:
            self._output.event(process.label, f"ended ({end_in_words(status)})")
            return
        if status:
            self._output.failure(process.label, end_in_words(status), process.tail)
        else:
            self._output.event(process.label, "ended (exit status 0)")
        if process.description.required:
            self._conclude(_as_exit_status(status), f"{process.label} has ended")
        elif process.description.respawn:
            self._waiting.append(
                (time.monotonic() + process.description.respawn_delay, number, process.description)
            )
        elif status and not self._verdict_is_final:
            self._status = self._status or _as_exit_status(status)

    def _conclude(self, status: int, reason: str) -> None:
        """Decide the exit status for good, and begin to end the graph."""
        if not self._verdict_is_final:
            self._status, self._verdict_is_final = status, True
        self._begin_end(reason)

    def _begin_end(self, reason: str) -> None:
        self._waiting.clear()
        if self._stage < 0:
            if self._running:
                self._output.event("launch", f"{reason}: ending {len(self._running)} processes")
            self._escalate()

    def _escalate(self) -> None:
        self._stage = min(self._stage + 1, len(_ESCALATION) - 1)
        self._stage_ends = time.monotonic() + self._grace[self._stage]
        for process in self._running.values():
            if self._stage > 0:
                self._output.event(process.label, f"still runs: {_ESCALATION[self._stage].name}", bad=True)
            process.signal_group(_ESCALATION[self._stage])

    def _proceed(self) -> None:
        """Act on interruptions and on the end of a waiting time."""
        if self._interrupts:
            self._interrupts = 0
            if self._stage < 0:
                self._conclude(INTERRUPTED, "interrupted")
            else:
                self._escalate()
        elif self._stage >= 0 and time.monotonic() >= self._stage_ends:
            self._escalate()


def _as_exit_status(status: int) -> int:
    return status if status >= 0 else 1
