"""The thread that owns the arm: connects, reads, drives, and comes back when the controller was away."""

import threading
import time
import traceback
from collections.abc import Callable
from concurrent.futures import Future
from dataclasses import dataclass

from soft_flow_contract.errors import ContractError
from soft_flow_contract.pacing import Pacing
from soft_flow_franka_bringup.arm_connection import (
    ArmConnection,
    ArmIncompatible,
    ArmRefused,
    ArmUnreachable,
)
from soft_flow_franka_bringup.arm_follower import ArmFollower
from soft_flow_franka_bringup.arm_state import ArmState
from soft_flow_franka_bringup.controller_call import ControllerCall

_POLL = 0.1  # s between looks at a call, when nothing else is to be done
_TUNE_EVERY = 20  # cycles between fits of the damping
_COME_TO_REST = 0.15  # s for the reference to end before the arm is let go
_STATE_PATIENCE, _STATE_POLL = 0.3, 0.001  # s for a new state to come when there should be one a millisecond
_CLOSE_PATIENCE = 5.0  # s for the thread to end; it holds the arm's rest, and a broken connection, up


@dataclass(frozen=True)
class ThreadEvents:
    """What the thread tells, from within: none of these may block.

    Attributes:
        on_state: a new state came while the driver is active.
        on_change: something that a report shows has changed.
        on_log: a line for people, and whether it is about a problem.
    """

    on_state: Callable[[ArmState], None]
    on_change: Callable[[], None]
    on_log: Callable[[str, bool], None]


class ArmThread:
    """Owns the connection; others talk to the follower, or ask for recovery.

    Attributes:
        problem: why there is no connection; empty if there is one.
        hopeless: whether trying again is of no use.
        crash: what ended the thread against all expectation; empty while it is well.
        losses: how often a connection was lost.
        state: the newest one, stale or not.
    """

    def __init__(
        self, call: ControllerCall, follower: ArmFollower, rate: float, events: ThreadEvents
    ) -> None:
        """Read and drive `rate` times a second once started."""
        self._call, self._follower, self._events = call, follower, events
        self._pacing = Pacing(1.0 / rate)
        self._connection: ArmConnection | None = None
        self._cycles = 0
        self._shown: object = None
        self._requests: list[Future[str]] = []
        self._lock = threading.Lock()
        self._stopping = threading.Event()
        self._thread = threading.Thread(target=self._run, name="arm", daemon=True)
        self.problem, self.hopeless, self.losses = "not connected yet", False, 0
        self.crash = ""
        self.state: ArmState | None = None

    # From outside

    def start(self) -> None:
        """Begin to connect."""
        self._thread.start()

    def close(self) -> bool:
        """Bring the arm to rest and disconnect; waits for that, and returns whether it was done."""
        self._stopping.set()
        if self._thread.is_alive():
            self._thread.join(_CLOSE_PATIENCE)
        self._call.abandon()
        return not self._thread.is_alive()

    def recover(self) -> "Future[str]":
        """Ask for recovery; the result is the reason why it failed, empty if it did not."""
        request: Future[str] = Future()
        with self._lock:
            self._requests.append(request)
        return request

    @property
    def connected(self) -> bool:
        """Whether a controller answers."""
        return self._connection is not None

    def jitter_p99(self) -> float:
        """See Pacing."""
        return self._pacing.jitter_p99()

    # Within

    def _run(self) -> None:
        try:
            self._work()
        except Exception as error:  # whatever it was: the arm must not go on without its driver
            self.crash = f"the arm's thread failed: {error!r}"
            self._events.on_log("".join(traceback.format_exception(error)), True)
            self._follower.fail(self.crash)
        self._leave()
        self._tell_changes()

    def _work(self) -> None:
        while not self._stopping.is_set():
            try:
                if self._connection is None:
                    self._connect()
                else:
                    self._cycle(self._connection)
            except ArmUnreachable as error:
                self._lose(str(error))
            except ContractError as error:
                self._follower.fail(str(error))
                self._set_problem("" if self._connection else str(error), isinstance(error, ArmIncompatible))
            self._answer_requests()
            self._tell_changes()

    def _connect(self) -> None:
        connection = self._call.poll(_POLL)
        if connection is None:
            return
        self._connection = connection
        self.state = connection.read()
        self._follower.connected(self.state, time.monotonic())
        self._set_problem("", False)
        self._events.on_log("connected to the arm", False)
        if connection.warning:
            self._events.on_log(connection.warning, True)
        self._pacing.restart()

    def _cycle(self, connection: ArmConnection) -> None:
        self._pacing.wait()
        self._hold_or_let_go(connection)
        state = connection.read()
        is_new = self.state is None or state.time_ms != self.state.time_ms
        now = time.monotonic()
        sample = self._follower.observe(state, now)
        if connection.driving:
            if not connection.in_control:
                self._follower.fail(connection.why_lost())
            else:
                connection.follow(sample)
                connection.pull(self._follower.moving(now))
                self._cycles += 1
                if self._cycles % _TUNE_EVERY == 0:
                    connection.tune()
        if is_new:
            self.state = state
            if self._follower.active:
                self._events.on_state(state)

    def _hold_or_let_go(self, connection: ArmConnection) -> None:
        """Drive the arm while the driver is active; after a fault only a recovery begins to again."""
        if self._follower.active and not self._follower.faulty and not connection.driving:
            self._drive(connection)
        elif not self._follower.active and connection.driving:
            self._come_to_rest(connection)

    def _drive(self, connection: ArmConnection) -> None:
        state = connection.read()
        self._follower.connected(state, time.monotonic())
        connection.start()

    def _come_to_rest(self, connection: ArmConnection) -> None:
        until = time.monotonic() + _COME_TO_REST
        while time.monotonic() < until and connection.in_control:
            self._pacing.wait()
            connection.follow(self._follower.observe(connection.read(), time.monotonic()))
        try:
            connection.stop()
        except ArmRefused as error:
            self._events.on_log(str(error), True)
        self._pacing.restart()

    def _lose(self, problem: str) -> None:
        self._follower.fail(problem)
        self._set_problem(problem, False)
        if self._connection is not None:
            connection, self._connection = self._connection, None
            self.losses += 1
            connection.close()

    def _leave(self) -> None:
        self._follower.deactivate()
        if self._connection is not None:
            try:
                if self._connection.driving:
                    self._come_to_rest(self._connection)
            except ContractError as error:
                self._events.on_log(str(error), True)
            connection, self._connection = self._connection, None
            connection.close()
        self._answer_requests()

    # Recovery

    def _answer_requests(self) -> None:
        with self._lock:
            requests, self._requests = self._requests, []
        for request in requests:
            try:
                self._recover()
                request.set_result("")
            except ArmUnreachable as error:
                self._lose(str(error))
                request.set_result(str(error))
            except ContractError as error:
                request.set_result(str(error))

    def _recover(self) -> None:
        if not self._follower.active:
            raise ArmRefused("the driver is not active")
        connection = self._connection
        if connection is None:
            raise ArmRefused(self.problem)
        restarted = not connection.in_control
        if restarted:
            connection.recover()
            self._follower.connected(connection.read(), time.monotonic())
            connection.start()
        state = self._next_state(connection)
        self._follower.observe(state, time.monotonic())
        self._follower.recovered(state, restarted)

    def _next_state(self, connection: ArmConnection) -> ArmState:
        """A state that is newer than the one that is read now.

        Raises:
            ArmRefused: none comes.
        """
        before = connection.read().time_ms
        until = time.monotonic() + _STATE_PATIENCE
        while time.monotonic() < until:
            state = connection.read()
            if state.time_ms != before:
                return state
            time.sleep(_STATE_POLL)
        raise ArmRefused("the controller's state still stands still")

    # Reports

    def _set_problem(self, problem: str, hopeless: bool) -> None:
        if problem and problem != self.problem:
            self._events.on_log(problem, True)
        self.problem, self.hopeless = problem, hopeless

    def _tell_changes(self) -> None:
        report = self._follower.report()
        shown = report.state, report.reason, self.problem
        if shown != self._shown:
            self._shown = shown
            self._events.on_change()
