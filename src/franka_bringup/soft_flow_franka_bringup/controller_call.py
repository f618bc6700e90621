"""Calls the arm's controller without waiting for it: a second client of one is left waiting for ever."""

import threading
import time

from soft_flow_contract.errors import ContractError
from soft_flow_contract.robot_cell import ArmConfiguration
from soft_flow_franka_bringup.arm_connection import ArmConnection, ArmUnreachable

_PATIENCE = 3.0  # s after which a call that is not answered is reported
_FIRST_PAUSE, _LONGEST_PAUSE = 0.25, 4.0  # s between calls that failed


class ControllerCall:
    """At most one attempt at a time, in a thread of its own.

    An attempt that the controller leaves waiting is never given up: it stands first in the controller's
    queue, and another one behind it would wait for it. It is adopted when it succeeds at last.
    """

    def __init__(self, arm: ArmConfiguration) -> None:
        """Call the controller of this arm."""
        self._arm = arm
        self._attempt: _Attempt | None = None
        self._pause, self._not_before = _FIRST_PAUSE, 0.0

    def poll(self, wait: float) -> ArmConnection | None:
        """The connection, or None if there is none yet; waits at most `wait` seconds.

        Raises:
            ArmUnreachable: nothing answers; keep polling, the next attempt follows after a pause.
            ArmIncompatible, ArmRefused: see ArmConnection.open; an attempt follows all the same.
        """
        if self._attempt is None:
            remaining = self._not_before - time.monotonic()
            if remaining > 0:
                time.sleep(min(remaining, wait))
                return None
            self._attempt = _Attempt(self._arm)
        attempt = self._attempt
        if not attempt.done.wait(wait):
            if time.monotonic() - attempt.began > _PATIENCE:
                raise ArmUnreachable(
                    f"{self._arm.address}: the controller does not answer. Another client may hold it (a "
                    "script, a second start of this driver), or it is off; this one waits in line"
                )
            return None
        self._attempt = None
        if attempt.error is not None:
            self._not_before = time.monotonic() + self._pause
            self._pause = min(2 * self._pause, _LONGEST_PAUSE)
            raise attempt.error
        self._pause = _FIRST_PAUSE
        return attempt.take()

    def abandon(self) -> None:
        """Want no connection any more, not even that of an attempt which still waits."""
        if self._attempt is not None:
            self._attempt.abandon()
            self._attempt = None


class _Attempt:
    """One call. Whoever comes last, success or loss of interest, closes the connection."""

    def __init__(self, arm: ArmConfiguration) -> None:
        self.began = time.monotonic()
        self.done = threading.Event()
        self.error: ContractError | None = None
        self._connection: ArmConnection | None = None
        self._abandoned = False
        self._lock = threading.Lock()
        # A daemon: the call may never return, and that must not keep the process from ending.
        threading.Thread(target=self._call, args=(arm,), name="call_controller", daemon=True).start()

    def _call(self, arm: ArmConfiguration) -> None:
        try:
            connection = ArmConnection.open(arm)
        except ContractError as error:
            # A copy: the traceback of the original would keep the robot, and with it the connection, alive.
            self.error = type(error)(str(error))
        else:
            with self._lock:
                if self._abandoned:
                    connection.close()
                else:
                    self._connection = connection
        self.done.set()

    def take(self) -> ArmConnection | None:
        connection, self._connection = self._connection, None
        return connection

    def abandon(self) -> None:
        with self._lock:
            self._abandoned = True
            if self._connection is not None:
                self._connection.close()
                self._connection = None
