"""What a driver of arm or hand may do now: the state machine that both share, without time of its own."""

import enum
import math
from dataclasses import dataclass


class DriverState(enum.IntEnum):
    """The states of soft_flow_msgs/DriverState, with its numbers."""

    INACTIVE = 0
    READY = 1
    STOPPED = 2
    FAULT = 3


_REST_TIMEOUTS = 5  # times the watchdog's patience after which a robot that was told to stand does so
STOP_UNHEARD = "the state of the emergency stop was not heard yet; is the arbiter running?"
STOP_PRESSED = "emergency stop"
NOT_ACTIVE = "not active"


@dataclass(frozen=True)
class DriverReport:
    """What a driver does with the next command, and what became of those so far."""

    state: DriverState
    reason: str
    accepted: int = 0
    refused: int = 0
    clamped: int = 0
    last_refusal: str = ""


class DriverMachine:
    """Decides whether commands are followed.

    A fault latches until `recover`. The emergency stop counts as pressed until its state was heard. The
    watchdog is armed by the first command that was accepted after activation, recovery or an emergency stop:
    from then on each has to come within the time allowed. Commands that stay out while the robot has been
    standing for a while are no loss: the next one finds it where it was. Times are seconds of a clock that
    never goes back.
    """

    def __init__(self, command_timeout: float, watchdog: bool = True) -> None:
        """Hold after `command_timeout` seconds without a command; `watchdog` False: never."""
        self._timeout = command_timeout if watchdog else math.inf
        self._active = False
        self._pressed: bool | None = None
        self._fault = ""
        self._last_command: float | None = None
        self._last_motion = -math.inf
        self._inactive_reason = NOT_ACTIVE

    @property
    def state(self) -> DriverState:
        """The present state; a fault outweighs the emergency stop."""
        if not self._active:
            return DriverState.INACTIVE
        if self._fault:
            return DriverState.FAULT
        if self._pressed is not False:
            return DriverState.STOPPED
        return DriverState.READY

    @property
    def reason(self) -> str:
        """Why commands are not followed; empty if they are."""
        if not self._active:
            return self._inactive_reason
        if self._fault:
            return self._fault
        if self._pressed is None:
            return STOP_UNHEARD
        return STOP_PRESSED if self._pressed else ""

    @property
    def follows(self) -> bool:
        """Whether commands are followed."""
        return self.state is DriverState.READY

    @property
    def faulty(self) -> bool:
        """Whether a fault is latched."""
        return bool(self._fault)

    def activate(self) -> None:
        """Begin, without the faults of the past."""
        self._active, self._fault, self._last_command = True, "", None

    def deactivate(self, reason: str = NOT_ACTIVE) -> None:
        """End; commands are refused for this reason."""
        self._active, self._inactive_reason, self._last_command = False, reason, None

    def emergency_stop(self, pressed: bool) -> None:
        """Take the state of the emergency stop."""
        self._pressed = pressed
        if pressed:
            self._last_command = None

    def fail(self, reason: str) -> bool:
        """Latch a fault; the first one stays. Returns whether this is it (an inactive driver has none)."""
        if not self._active or self._fault:
            return False
        self._fault, self._last_command = reason, None
        return True

    def recover(self) -> None:
        """Forget the fault: what was wrong has been put right."""
        self._fault, self._last_command = "", None

    def accepted(self, now: float, moves: bool = True) -> None:
        """A command was accepted, which `moves` the robot or not; the watchdog waits for the next one."""
        if self.follows:
            self._last_command = now
            if moves:
                self._last_motion = now

    def watch(self, now: float) -> bool:
        """Whether the watchdog has just turned the lack of commands into a fault."""
        if not self.follows or self._last_command is None or now - self._last_command <= self._timeout:
            return False
        if self._last_command - self._last_motion > _REST_TIMEOUTS * self._timeout:
            self._last_command = None  # it stands
            return False
        return self.fail(
            f"no command for {1e3 * (now - self._last_command):.0f} ms (at most {1e3 * self._timeout:.0f}); "
            "holds until the driver's recover service is called"
        )
