"""The thread that owns the bus: reads, writes, does what it is asked for, and comes back after a loss."""

import threading
import time
import traceback
from collections.abc import Callable
from concurrent.futures import Future
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from orca_hand_driver.cycle_timing import CycleTiming
from orca_hand_driver.hand_bus import HandReading, OnProgress
from orca_hand_driver.hand_follower import HandFollower, HandRefused
from orca_hand_driver.hand_operations import Bus, HandOperations
from orca_hand_driver.hand_port import BusError
from soft_flow_contract.errors import ContractError

_SHORTEST_BACK_OFF, _LONGEST_BACK_OFF = 0.25, 4.0  # s between attempts to connect
_CLOSE_PATIENCE = 10.0  # s for the thread to end: a silent bus holds it up


@dataclass(frozen=True)
class ThreadEvents:
    """What the thread tells; all are called in it, and must be quick.

    Attributes:
        now_ns: stamp of a reading, taken just before it.
        on_reading: every complete answer, with its stamp.
        on_change: state or reason may have changed.
        on_log: a line, and whether it is a problem.
    """

    now_ns: Callable[[], int]
    on_reading: Callable[[int, HandReading], None]
    on_change: Callable[[], None]
    on_log: Callable[[str, bool], None]


@dataclass(frozen=True)
class ThreadSettings:
    """How the bus is run.

    Attributes:
        rate: cycles a second.
        temperature_period: seconds between looks at the motors' temperatures.
        release_at_exit: whether torque goes off at the end.
        calibration_joints: those that a calibration drives; empty: all.
    """

    rate: float = 100.0
    temperature_period: float = 1.0
    release_at_exit: bool = True
    calibration_joints: tuple[str, ...] = ()


class HandThread:
    """Runs the bus. Requests are answered in it, between cycles: with the reason why not, or empty."""

    def __init__(
        self, bus: Bus, follower: HandFollower, settings: ThreadSettings, events: ThreadEvents
    ) -> None:
        self._bus, self._follower, self._settings, self._events = bus, follower, settings, events
        self.operations = HandOperations(bus, follower, settings.calibration_joints)
        self.timing = CycleTiming(settings.rate)
        self._requests: list[tuple[Callable[[], None], Future[str]]] = []
        self._lock = threading.Lock()
        self._news = threading.Event()  # of a request or the end
        self._closing = False
        self._cancelled = threading.Event()
        self._thread = threading.Thread(target=self._run, name="hand_bus", daemon=True)
        self._back_off = _SHORTEST_BACK_OFF
        self._look_due = 0.0
        self._shown: object = None
        self.problem, self.losses, self.failed_reads = "not connected yet", 0, 0
        self.crash, self.hopeless = "", False
        self.reading: HandReading | None = None
        self.temperatures: NDArray[np.float64] | None = None

    # From outside

    def start(self) -> None:
        """Begin to connect."""
        self._thread.start()

    def close(self) -> bool:
        """Hold or release the hand, and disconnect; waits for that, and returns whether it was done."""
        self._closing = True
        self._news.set()
        if self._thread.is_alive():
            self._thread.join(_CLOSE_PATIENCE)
        return not self._thread.is_alive()

    @property
    def connected(self) -> bool:
        """Whether the motors answer."""
        return self._bus.connected

    def ask(self, operation: Callable[[], None]) -> "Future[str]":
        """Let the thread do one of its `operations`."""
        request: Future[str] = Future()
        with self._lock:
            self._requests.append((operation, request))
        self._news.set()
        return request

    def calibrate(self, force: bool, on_progress: OnProgress) -> "Future[str]":
        """Let the thread calibrate the hand; see HandOperations."""
        self._cancelled.clear()
        return self.ask(
            lambda: self.operations.calibrate(
                force, self._calibration_must_end, self._tell_changes, on_progress
            )
        )

    def cancel_calibration(self) -> None:
        """End a running calibration, with torque off."""
        self._cancelled.set()

    # Within

    def _run(self) -> None:
        try:
            while not self._closing:
                self._step()
        except Exception as error:  # whatever it was: the hand must not go on without its driver
            self.crash = f"the bus's thread failed: {error!r}"
            self._events.on_log("".join(traceback.format_exception(error)), True)
            self._follower.fail(self.crash)
        self._leave()
        self._tell_changes()

    def _step(self) -> None:
        if self._bus.connected:
            try:
                self._cycle()
            except BusError as error:
                self._lose(str(error))
        else:
            self._connect()
        self._answer_requests()
        self._tell_changes()

    def _connect(self) -> None:
        try:
            self._bus.open()
            self.operations.observe()
        except BusError as error:
            self._lose(str(error))
            self._news.wait(self._back_off)
            self._back_off = min(2 * self._back_off, _LONGEST_BACK_OFF)
            return
        self._back_off = _SHORTEST_BACK_OFF
        self.problem = ""
        self._events.on_log("connected to the hand", False)
        self.temperatures, self._look_due = None, 0.0
        self.timing.restart()

    def _cycle(self) -> None:
        self.timing.wait()
        stamp_ns = self._events.now_ns()
        began = time.monotonic()
        reading = self._bus.read()
        now = time.monotonic()
        if reading is None:
            self.failed_reads += 1
            self._follower.watch(now)
            if not self._follower.fresh(now):
                raise BusError(self._follower.silence(now))
            return
        reference = self._follower.observe(reading.position, now)
        if reference is not None and self._bus.energized:
            self._bus.write(reference)
        self.timing.add(began, time.monotonic())
        self.reading = reading
        self._events.on_reading(stamp_ns, reading)
        self._look_at_motors(reading, now)

    def _look_at_motors(self, reading: HandReading, now: float) -> None:
        """Temperatures seldom, each a transaction; latched faults when a motor says that it has one."""
        is_due = now >= self._look_due
        if reading.alert and (is_due or not self._follower.faulty):
            self.operations.look_for_faults()
        if is_due:
            self._look_due = now + self._settings.temperature_period
            self.temperatures = self._bus.temperatures()
            self._follower.check_temperatures(self.temperatures)

    def _lose(self, problem: str) -> None:
        self._follower.fail(problem)
        if problem != self.problem:
            self._events.on_log(problem, True)
        self.problem, self.reading = problem, None
        if self._bus.connected:
            self.losses += 1
            self._close_bus()

    def _close_bus(self) -> None:
        try:
            self._bus.close()
        except BusError as error:
            self._events.on_log(str(error), True)

    def _leave(self) -> None:
        self._follower.deactivate("the driver ends")
        try:
            if self._bus.connected and self._settings.release_at_exit:
                self._bus.release()
        except BusError as error:
            self._events.on_log(f"at the end: {error}", True)
        self._close_bus()
        for _, request in self._taken_requests():
            request.set_result("the driver ends")

    def _taken_requests(self) -> "list[tuple[Callable[[], None], Future[str]]]":
        with self._lock:
            requests, self._requests = self._requests, []
            self._news.clear()
        return requests

    def _answer_requests(self) -> None:
        requests = self._taken_requests()
        for operation, request in requests:
            try:
                if not self._bus.connected:
                    raise HandRefused(self.problem)
                operation()
                request.set_result("")
            except BusError as error:
                self._lose(str(error))
                request.set_result(str(error))
            except ContractError as error:
                request.set_result(str(error))
        if requests:
            self.timing.restart()

    def _calibration_must_end(self) -> bool:
        return self._closing or self._cancelled.is_set() or self._follower.stop_pressed

    def _tell_changes(self) -> None:
        report = self._follower.report()
        shown = report.state, report.reason, self.problem
        if shown != self._shown:
            self._shown = shown
            self._events.on_change()
