"""The servos of a hand, between the bus and the hand's mechanics."""

from collections.abc import Callable

import numpy as np

from soft_flow_sim.servo_bus.hand_gearing import PULSES_PER_RADIAN, HandGearing
from soft_flow_sim.servo_bus.hand_mechanics import HandMechanics
from soft_flow_sim.servo_bus.servo import Servo


class HandServos:
    """One servo for each joint; they measure the hand and pull on it.

    Args:
        gearing: motors and joints.
        mechanics: the hand, its joints in the order of the gearing.
        baud_rate: index of the bus speed in the servos' table.
        clock: steady time, s.
    """

    def __init__(
        self, gearing: HandGearing, mechanics: HandMechanics, baud_rate: int, clock: Callable[[], float]
    ) -> None:
        self._gearing, self._mechanics = gearing, mechanics
        self.servos = [
            Servo(model, motor, baud_rate, clock)
            for model, motor in zip(gearing.models, gearing.motor_ids, strict=True)
        ]
        self._drives = [servo.drive for servo in self.servos]
        self._pulses_of_joint = gearing.ratio * PULSES_PER_RADIAN
        self._load_of_torque = np.sign(gearing.ratio) / gearing.torque
        measurement = mechanics.measure()
        self._time = measurement.time
        pulses = np.rint(gearing.to_pulses(measurement.position)).astype(int)
        for servo, position in zip(self.servos, pulses.tolist(), strict=True):
            servo.place(position)
        self.refresh()

    def by_id(self, servo_id: int) -> Servo | None:
        """The servo that answers to an id."""
        return next((servo for servo in self.servos if servo.servo_id == servo_id), None)

    def time(self) -> float:
        """The hand's time, s."""
        return self._mechanics.measure().time

    @property
    def travelling(self) -> bool:
        """Whether a goal changes without a request, so that `refresh` is due soon."""
        return any(drive.travelling for drive in self._drives)

    def refresh(self) -> None:
        """Measure the hand up to now, and pull on it as the servos were told."""
        gearing, measurement = self._gearing, self._mechanics.measure()
        dt, self._time = max(measurement.time - self._time, 0.0), measurement.time
        pulses = np.rint(gearing.to_pulses(measurement.position)).astype(int).tolist()
        velocity = (self._pulses_of_joint * measurement.velocity).tolist()
        load = np.clip(self._load_of_torque * measurement.torque, -1.0, 1.0).tolist()
        for servo, at, speed, pull in zip(self.servos, pulses, velocity, load, strict=True):
            servo.observe(at, speed, pull, dt)
        self._drive()

    def obey(self) -> None:
        """Pull as the servos are told now."""
        for servo in self.servos:
            servo.obey()
        self._drive()

    def _drive(self) -> None:
        goal, share, enabled = np.array(
            [(drive.goal, drive.share, drive.enabled) for drive in self._drives], np.float64
        ).T
        self._mechanics.drive(self._gearing.to_joints(goal), share * self._gearing.torque, enabled > 0)
