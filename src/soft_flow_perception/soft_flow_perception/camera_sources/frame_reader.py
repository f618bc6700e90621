"""Reads a camera in a thread of its own: the newest frame wins, and a camera that is lost is opened again."""

import enum
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass

from soft_flow_contract.robot_cell import CameraConfiguration
from soft_flow_perception.camera_sources.camera_source import (
    CameraError,
    CameraSource,
    Frame,
    RecordingEndedError,
)
from soft_flow_perception.camera_sources.frame_rate import FrameRate
from soft_flow_perception.camera_sources.frozen_picture import FrozenPicture


class ReaderState(enum.Enum):
    """What the reader does."""

    OPENING = "opening"  # for the first time
    STREAMING = "streaming"
    LOST = "lost"  # closed; opened again after a while
    ENDED = "ended"  # a recording is over, or the reader was stopped


@dataclass(frozen=True)
class ReaderLimits:
    """When a camera counts as lost, and how it is opened again; seconds."""

    frame_timeout: float = 0.5  # without a frame (at least three frame times)
    frozen_limit: float = 0.2  # of the same picture; 0: never
    first_pause: float = 0.2  # before it is opened again, doubled every time
    longest_pause: float = 5.0


@dataclass(frozen=True)
class ReaderReport:
    """How reading goes; `reason` says why there are no frames, empty if there are."""

    state: ReaderState
    reason: str
    frames: int  # read, repeats left out
    dropped: int  # replaced by a newer one before they were taken
    repeats: int
    reconnects: int
    rate: float  # Hz
    jitter: float  # s
    rate_known: bool  # enough frames came to judge the rate


class FrameReader:
    """Owns a source and the thread that reads it; `take` and `report` may be called from another one.

    A frame that repeats the picture before is no news and is never given out: a camera that froze looks like
    one that gives nothing, and once it did so for too long it is opened again like a lost one.
    """

    def __init__(
        self,
        camera: CameraConfiguration,
        source: CameraSource,
        limits: ReaderLimits,
        on_news: Callable[[], None],
        stamp: Callable[[int], int] = lambda capture_ns: capture_ns,
        clock: Callable[[], int] = time.monotonic_ns,
    ) -> None:
        """Prepare; `start` begins.

        Args:
            camera: name, size and rate that the source must have.
            source: used by the reader's thread alone.
            limits: see there.
            on_news: called in the reader's thread after each frame and each change of the state.
            stamp: called in the reader's thread at each frame: capture time (steady, ns) to the stamp that
                `take` gives with it.
            clock: the steady clock, ns.
        """
        self._camera, self._source, self._limits = camera, source, limits
        self._on_news, self._stamp, self._clock = on_news, stamp, clock
        self._timeout_ns = round(max(limits.frame_timeout, 3 / camera.fps) * 1e9)
        self._frozen = FrozenPicture(round(limits.frozen_limit * 1e9))
        self._rate = FrameRate()
        self._lock, self._stopping = threading.Lock(), threading.Event()
        self._newest: tuple[Frame, int] | None = None
        self._state, self._reason = ReaderState.OPENING, "is being opened"
        self._frames, self._dropped, self._repeats, self._reconnects = 0, 0, 0, 0
        self._heard_ns = clock()
        self._thread = threading.Thread(target=self._run, name=f"camera_{camera.name}", daemon=True)

    def start(self) -> None:
        """Begin to read."""
        self._thread.start()

    def stop(self, patience: float = 2.0) -> None:
        """End the thread. One that hangs in its driver for longer than `patience` seconds is left behind."""
        self._stopping.set()
        if self._thread.is_alive():
            self._thread.join(patience)

    def take(self) -> tuple[Frame, int] | None:
        """The newest frame with its stamp, once; None if it was taken already."""
        with self._lock:
            newest, self._newest = self._newest, None
            return newest

    def report(self) -> ReaderReport:
        """How it goes now; a stream without frames is lost, though its thread may still wait for one."""
        with self._lock:
            state, reason = self._state, self._reason
            silent_ns = self._clock() - self._heard_ns
            if state is ReaderState.STREAMING and silent_ns > self._timeout_ns:
                state = ReaderState.LOST
                reason = f"no frame for {silent_ns * 1e-9:.1f} s (limit {self._timeout_ns * 1e-9:.1f})"
            counts = (self._frames, self._dropped, self._repeats, self._reconnects)
            return ReaderReport(state, reason, *counts, self._rate.rate, self._rate.jitter, self._rate.full)

    # In the reader's thread

    def _run(self) -> None:
        pause = self._limits.first_pause
        while not self._stopping.is_set():
            before = self._frames
            try:
                self._source.open()
                self._read_frames()
            except RecordingEndedError as end:
                self._change(ReaderState.ENDED, str(end))
            except CameraError as error:
                self._change(ReaderState.LOST, str(error))
            except (
                Exception
            ) as error:  # whatever a driver's library raises: the camera is lost, not the program
                self._change(ReaderState.LOST, f"{type(error).__name__}: {error}")
            self._close()
            if self._state is ReaderState.ENDED:
                return
            pause = self._limits.first_pause if self._frames > before else pause
            self._stopping.wait(pause)
            pause = min(2 * pause, self._limits.longest_pause)

    def _close(self) -> None:
        try:
            self._source.close()
        except Exception as error:  # a driver may not be able to close what was unplugged; it is lost anyway
            if self._state is not ReaderState.ENDED:
                self._change(
                    ReaderState.LOST, f"{self._reason} (closing it: {type(error).__name__}: {error})"
                )

    def _read_frames(self) -> None:
        while not self._stopping.is_set():
            frame = self._source.read()
            self._require_size(frame)
            if self._frozen.repeats(frame.image, frame.capture_ns):
                self._repeat()
            else:
                self._give(frame)

    def _require_size(self, frame: Frame) -> None:
        camera, (height, width) = self._camera, frame.image.shape[:2]
        if (width, height) != (camera.width, camera.height):
            raise CameraError(
                f"camera '{camera.name}' gives {width}x{height} pixels, its cell "
                f"says {camera.width}x{camera.height}; correct the cell, or choose a mode that the camera has"
            )

    def _repeat(self) -> None:
        with self._lock:
            self._repeats += 1
            # Not heard from: what came was nothing new.
        if self._frozen.frozen:
            raise CameraError(
                f"frozen: camera '{self._camera.name}' has shown the same picture for "
                f"{self._frozen.unchanged_ns * 1e-9:.1f} s (a covered lens looks the same)"
            )

    def _give(self, frame: Frame) -> None:
        stamp_ns = self._stamp(frame.capture_ns)
        with self._lock:
            if self._state is not ReaderState.STREAMING:
                self._reconnects += self._state is ReaderState.LOST
                self._rate.clear()
                self._state, self._reason = ReaderState.STREAMING, ""
            self._dropped += self._newest is not None
            self._newest = (frame, stamp_ns)
            self._frames += 1
            self._rate.add(frame.capture_ns)
            self._heard_ns = self._clock()
        self._tell()

    def _change(self, state: ReaderState, reason: str) -> None:
        with self._lock:
            changed = (state, reason) != (self._state, self._reason)
            self._state, self._reason = state, reason
            if state is ReaderState.LOST:
                self._newest = None  # what was lost is not shown any more
        if changed:
            self._tell()

    def _tell(self) -> None:
        if not self._stopping.is_set():  # who stopped the reader may be gone already
            self._on_news()
