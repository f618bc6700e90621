"""What the hand is asked for now and then: torque, recovery, restart, calibration; in the bus's thread."""

import time
from collections.abc import Callable, Sequence
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from orca_hand_driver.hand_bus import HandReading, OnProgress, ShouldStop
from orca_hand_driver.hand_follower import TORQUE_OFF, HandFollower, HandRefused
from orca_hand_driver.hand_model import HandModel
from orca_hand_driver.hand_port import BusError

_ATTEMPTS = 3  # to read all motors at once, on a noisy bus


class Bus(Protocol):
    """What is needed of `HandBus`, which see."""

    model: HandModel
    calibration_problem: str
    energized: bool

    @property
    def connected(self) -> bool: ...  # noqa: D102
    @property
    def calibrated(self) -> bool: ...  # noqa: D102
    def open(self) -> None: ...  # noqa: D102
    def close(self) -> None: ...  # noqa: D102
    def read(self) -> HandReading | None: ...  # noqa: D102
    def write(self, position: NDArray[np.float64]) -> None: ...  # noqa: D102
    def energize(self) -> None: ...  # noqa: D102
    def release(self) -> None: ...  # noqa: D102
    def temperatures(self) -> NDArray[np.float64]: ...  # noqa: D102
    def faults(self) -> dict[str, str]: ...  # noqa: D102
    def reboot(self, joints: list[str]) -> None: ...  # noqa: D102
    def calibrate(  # noqa: D102
        self, joints: Sequence[str], force: bool, should_stop: ShouldStop, on_progress: OnProgress
    ) -> bool: ...


class HandOperations:
    """Each does what it is for, or raises HandRefused (it would not) or BusError (the bus is lost)."""

    def __init__(self, bus: Bus, follower: HandFollower, calibration_joints: Sequence[str] = ()) -> None:
        """Calibrate `calibration_joints` only, if there are any."""
        self._bus, self._follower, self._calibration_joints = bus, follower, calibration_joints
        self.motor_faults: dict[str, str] = {}  # what motors have latched, by joint

    def activate(self) -> None:
        """Switch torque on and let commands come; a hand that is not calibrated is active, but in a fault."""
        if self._bus.calibrated:
            self._bus.energize()
        self.observe()
        self._follower.activate(time.monotonic(), self._bus.calibration_problem)

    def recover(self) -> None:
        """Put right what can be, and follow commands again from where the hand is."""
        self._require_active()
        if not self._bus.calibrated:
            raise HandRefused(self._bus.calibration_problem)
        if problem := self._follower.too_hot(self._bus.temperatures()):
            raise HandRefused(problem)
        self._clear_motor_faults()
        if not self._bus.energized:
            self._bus.energize()
        self.observe()
        self._follower.recovered(time.monotonic())

    def torque_off(self) -> None:
        """Let the hand go limp; a fault until torque is on again."""
        self._require_active()
        self._follower.fail(TORQUE_OFF)
        self._bus.release()

    def torque_on(self) -> None:
        """Hold where the hand is; ends no other fault than that torque was off."""
        self._require_active()
        if not self._bus.calibrated:
            raise HandRefused(self._bus.calibration_problem)
        if not self._bus.energized:
            self._bus.energize()
        self.observe()
        self._follower.recovered(time.monotonic(), fault=TORQUE_OFF)

    def reboot(self) -> None:
        """Restart the motors that have latched a fault, or all if none has; recovery has to follow."""
        self._require_active()
        self._follower.require_no_commands(time.monotonic())
        joints = list(self._bus.faults()) or list(self._bus.model.joint_names)
        self._follower.fail("motors were restarted, their torque is off; call hand/recover")
        self._bus.reboot(joints)
        self.motor_faults = self._bus.faults()
        self.observe()

    def calibrate(
        self, force: bool, must_end: Callable[[], bool], on_begin: Callable[[], None], on_progress: OnProgress
    ) -> None:
        """Find the joints' stops.

        Args:
            force: also if the hand is calibrated.
            must_end: ends it, with torque off.
            on_begin: called when it was not refused.
            on_progress: takes orca_core's events.
        """
        self._require_active()
        self._follower.require_released_stop()
        self._follower.require_no_commands(time.monotonic())
        if self._bus.calibrated and not force:
            raise HandRefused("the hand is calibrated; set `force` to do it again")
        self._follower.deactivate("calibrating")
        on_begin()
        failure = "calibration failed"
        try:
            failure = self._calibrated(force, must_end, on_progress)
        except BusError as error:
            failure = f"calibration failed: {error}"
            raise
        finally:
            self._follower.activate(time.monotonic(), self._bus.calibration_problem)
            if failure:
                self._follower.fail(f"{failure}; calibrate again, or call hand/recover")
        if failure:
            raise HandRefused(failure)

    def _calibrated(self, force: bool, must_end: Callable[[], bool], on_progress: OnProgress) -> str:
        """Calibrate; why it failed, or empty."""
        done = self._bus.calibrate(self._calibration_joints, force, must_end, on_progress)
        if done and self._bus.calibrated:
            self._bus.energize()
        self.observe()
        if not done:
            return "calibration was ended before it was done, torque is off"
        return self._bus.calibration_problem

    def look_for_faults(self) -> None:
        """Ask the motors what they have latched; it is a fault of the driver."""
        self.motor_faults = self._bus.faults()
        if self.motor_faults:
            self._follower.fail(f"{_named(self.motor_faults)}; hand/recover restarts the motor")

    def observe(self) -> None:
        """Read all motors, and let the follower know."""
        for _ in range(_ATTEMPTS):
            if (reading := self._bus.read()) is not None:
                self._follower.observe(reading.position, time.monotonic())
                return
        raise BusError("the motors answer incompletely; check power and cables")

    def _require_active(self) -> None:
        if not self._follower.active:
            raise HandRefused("the driver is not active")

    def _clear_motor_faults(self) -> None:
        if faults := self._bus.faults():
            self._bus.reboot(list(faults))
        self.motor_faults = self._bus.faults()
        if self.motor_faults:
            raise HandRefused(
                f"{_named(self.motor_faults)} again after a restart; switch the hand off and look"
            )


def _named(faults: dict[str, str]) -> str:
    return "; ".join(f"the motor of {joint} reports {what}" for joint, what in faults.items())
