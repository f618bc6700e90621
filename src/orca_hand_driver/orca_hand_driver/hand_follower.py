"""What the hand does next: commands in, reference out, and every reason to stand still."""

import math
import threading
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from orca_hand_driver.command_guard import MAX_OVERSHOOT, CommandGuard, CommandRefused, JointCommand
from orca_hand_driver.hand_model import HandModel
from orca_hand_driver.slewed_reference import SlewedReference
from soft_flow_contract.driver_machine import NOT_ACTIVE, DriverMachine, DriverReport, DriverState
from soft_flow_contract.errors import ContractError
from soft_flow_contract.robot_cell import HandConfiguration

_STANDS = 1e-3  # rad; a target nearer to the reference than this does not move the hand
TORQUE_OFF = "torque was switched off (hand/torque); switch it on or call hand/recover"


class HandRefused(ContractError):  # noqa: N818 - says what happened
    """The hand does not do what it was asked for; the message says why."""


@dataclass(frozen=True)
class FollowerSettings:
    """How commands are followed.

    Attributes:
        watchdog: whether missing commands are a fault.
        time_scale: seconds of the steady clock for one of the hand's (2 for a world at half speed).
        silence_limit: seconds of the hand without a complete answer of its motors, after which it is a fault.
        neutral_speed: rad/s on the way to the neutral pose.
    """

    watchdog: bool = True
    time_scale: float = 1.0
    silence_limit: float = 0.15
    neutral_speed: float = 0.5


class HandFollower:
    """Shared by the thread that owns the bus and by those that bring commands; every method is quick.

    All `now` are seconds of the steady clock; all arrays are (J,), rad, in the model's order.
    """

    def __init__(self, model: HandModel, hand: HandConfiguration, settings: FollowerSettings) -> None:
        self._model, self._hand, self._settings = model, hand, settings
        self._scale = settings.time_scale
        self._command_timeout = hand.command_timeout * self._scale
        self._machine = DriverMachine(self._command_timeout, settings.watchdog)
        self._guard = CommandGuard(model, hand.max_jump)
        self._reference = SlewedReference(model.low, model.high, hand.joint_speeds(model.joint_names))
        self._lock = threading.RLock()
        self._measured: NDArray[np.float64] | None = None
        self._pressed: bool | None = None
        self._to_neutral, self._neutral_end = False, ""
        self._advanced_at = self._fresh_at = 0.0
        self._received_at = -math.inf
        self._accepted = self._refused = 0
        self._last_refusal = ""

    # From outside

    def activate(self, now: float, calibration_problem: str = "") -> None:
        """Hold where the hand is; commands may come, unless there is a problem with the calibration."""
        with self._lock:
            self._machine.activate()
            self._fresh_at = now
            self._begin_where_it_is()
            if problem := calibration_problem or self._implausible():
                self._machine.fail(problem)

    def deactivate(self, reason: str = NOT_ACTIVE) -> None:
        """Hold; commands are refused for this reason."""
        with self._lock:
            self._machine.deactivate(reason)
            self._rest()

    def emergency_stop(self, pressed: bool) -> None:
        """Hold where the hand is, at once; released, begin there."""
        with self._lock:
            was = self._machine.state
            self._machine.emergency_stop(pressed)
            self._pressed = pressed
            if self._machine.state is not was:
                self._begin_where_it_is()

    def command(self, command: JointCommand, now: float) -> None:
        """Take targets.

        Raises:
            CommandRefused: they are not followed, and do not feed the watchdog.
        """
        with self._lock:
            self._received_at = now
            self.watch(now)  # a command that comes too late does not make up for those that did not come
            try:
                if not self._machine.follows:
                    raise CommandRefused(f"command: {self._machine.reason}")
                last = self._reference.position if self._to_neutral else self._reference.target
                target = self._guard.check(command, last)
            except CommandRefused as refusal:
                self._refused += 1
                self._last_refusal = str(refusal)
                raise
            self._end_neutral("a command came")
            self._reference.lead_to(target)
            moves = np.abs(self._reference.target - self._reference.position).max() > _STANDS
            self._machine.accepted(now, bool(moves))
            self._accepted += 1

    def go_to_neutral(self, now: float) -> None:
        """Lead the hand to its neutral pose, slowly; a command takes over.

        Raises:
            HandRefused: commands arrive or are not followed.
        """
        with self._lock:
            if not self._machine.follows:
                raise HandRefused(self._machine.reason)
            self.require_no_commands(now)
            self._to_neutral, self._neutral_end = True, ""
            self._reference.lead_to(self._model.neutral, self._settings.neutral_speed)

    def neutral_end(self) -> str | None:
        """None while the hand is on its way to neutral; then empty if it arrived, else why it did not."""
        with self._lock:
            return None if self._to_neutral else self._neutral_end

    def require_no_commands(self, now: float) -> None:
        """Raise HandRefused if commands arrive."""
        if now - self._received_at <= self._command_timeout:
            raise HandRefused(
                "commands arrive on hand/target_joint; end the graph: hand.launch.xml starts the hand alone"
            )

    def require_released_stop(self) -> None:
        """Raise HandRefused unless the emergency stop was heard, and is not pressed."""
        if self._pressed is not False:
            raise HandRefused("emergency stop" if self._pressed else "the emergency stop was not heard yet")

    def watch(self, now: float) -> None:
        """Look for missing commands and answers; also called while the bus's thread waits for the bus."""
        with self._lock:
            if self._machine.state is not DriverState.INACTIVE and not self.fresh(now):
                self.fail(self.silence(now))
            if self._machine.watch(now):
                self._rest()

    def fail(self, reason: str) -> bool:
        """Stand still until `recovered`; returns whether this fault is a new one."""
        with self._lock:
            if not self._machine.fail(reason):
                return False
            self._rest()
            return True

    def report(self) -> DriverReport:
        """The present state and counts."""
        with self._lock:
            machine = self._machine
            counts = self._accepted, self._refused, self._guard.clamped
            return DriverReport(machine.state, machine.reason, *counts, self._last_refusal)

    # From the thread that owns the bus

    def observe(self, measured: NDArray[np.float64] | None, now: float) -> NDArray[np.float64] | None:
        """Take an answer of all motors (None: not calibrated); give the reference to send, if any."""
        with self._lock:
            self._fresh_at = now
            self._measured = measured
            if measured is None:
                return None
            self.watch(now)
            if not self._reference.anchored:
                self._reference.anchor(measured)
            dt, self._advanced_at = now - self._advanced_at, now
            reference = self._reference.advance(dt / self._scale)
            if self._to_neutral and self._reference.arrived:
                self._end_neutral("")
            return reference

    def recovered(self, now: float, fault: str | None = None) -> None:
        """What was wrong has been put right; begin where the hand is.

        Args:
            now: the time.
            fault: recover only from this one; None: from any.

        Raises:
            HandRefused: something is still wrong.
        """
        with self._lock:
            if fault is not None and self._machine.reason != fault:
                self._begin_where_it_is()
                return
            if problem := self._implausible():
                raise HandRefused(problem)
            self._machine.recover()
            self._fresh_at = now
            self._begin_where_it_is()

    def check_temperatures(self, temperatures: NDArray[np.float64]) -> None:
        """Take the motors' temperatures (J,), degrees Celsius; too hot a one is a fault."""
        if problem := self.too_hot(temperatures):
            self.fail(problem)

    def too_hot(self, temperatures: NDArray[np.float64]) -> str:
        """Which motor is too hot; empty if none is."""
        hottest, limit = int(np.argmax(temperatures)), self._hand.max_temperature
        if temperatures[hottest] <= limit:
            return ""
        name = self._model.joint_names[hottest]
        return (
            f"the motor of {name} has {temperatures[hottest]:.0f} degrees (at most {limit:g}); let it cool, "
            "then call hand/recover"
        )

    def fresh(self, now: float) -> bool:
        """Whether the motors have answered lately."""
        return now - self._fresh_at <= self._settings.silence_limit * self._scale

    def silence(self, now: float) -> str:
        """Says how long the motors have been silent."""
        return f"bus silent since {1e3 * (now - self._fresh_at):.0f} ms; check power and cables"

    @property
    def active(self) -> bool:
        """Whether the driver is active (it may hold for another reason)."""
        return self._machine.state is not DriverState.INACTIVE

    @property
    def faulty(self) -> bool:
        """Whether a fault is latched."""
        return self._machine.faulty

    @property
    def stop_pressed(self) -> bool:
        """Whether the emergency stop is pressed, or was not heard."""
        return self._pressed is not False

    def _rest(self) -> None:
        if self._reference.anchored:
            self._reference.freeze()
        self._end_neutral(self._machine.reason or "interrupted")

    def _begin_where_it_is(self) -> None:
        self._guard.forget()
        if self._measured is not None:
            self._reference.anchor(self._measured)
        self._end_neutral(self._machine.reason or "interrupted")

    def _end_neutral(self, reason: str) -> None:
        if self._to_neutral:
            self._to_neutral, self._neutral_end = False, reason

    def _implausible(self) -> str:
        """Which joint is far outside its range, or that nobody knows; empty if none is."""
        measured = self._measured
        if measured is None:
            return "nobody knows where the joints are"
        outside = np.maximum(self._model.low - measured, measured - self._model.high)
        worst = int(outside.argmax())
        if outside[worst] <= MAX_OVERSHOOT:
            return ""
        return (
            f"{self._model.joint_names[worst]} measures {np.rad2deg(measured[worst]):.0f} degrees, far "
            "outside its range: the calibration is not this hand's as it is now; run hand/calibrate"
        )
