"""A source that does what the test says: a fake that implements `CameraSource`."""

import queue
import time
from collections.abc import Callable

import numpy as np

from soft_flow_perception.camera_sources.camera_source import CameraError, Frame, RecordingEndedError

Step = np.ndarray | Exception


class ScriptedSource:
    """Gives pictures or raises errors in the order in which the test puts them in."""

    def __init__(self, clock: Callable[[], int] = time.monotonic_ns) -> None:
        self.steps: queue.Queue[Step] = queue.Queue()
        self.opening_error: Exception | None = None
        self.calls: list[str] = []
        self._clock = clock

    def put(self, *steps: Step) -> None:
        for step in steps:
            self.steps.put(step)

    def open(self) -> None:
        self.calls.append("open")
        if self.opening_error is not None:
            raise self.opening_error

    def read(self) -> Frame:
        try:
            step = self.steps.get(timeout=20.0)
        except queue.Empty:
            raise RecordingEndedError("the test is over") from None
        if isinstance(step, Exception):
            raise step
        return Frame(step, self._clock())

    def close(self) -> None:
        self.calls.append("close")

    def end(self) -> None:
        """Let a read that waits return."""
        self.put(RecordingEndedError("the test is over"))


LOST = CameraError("the cable is out")
