"""A hand without a world: every joint is an inertia between two hard stops, with a little friction."""

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

from soft_flow_contract.robot_cell import WRIST
from soft_flow_sim.servo_bus.hand_gearing import HandGearing
from soft_flow_sim.servo_bus.hand_mechanics import HandMeasurement

_STEP = 0.001  # s
_LONGEST = 2.0  # s after which a hand that nobody looked at has come to rest anyway
_NO_LOAD_SPEED = 71 / 60 * 2 * np.pi  # rad/s of a motor (XC330-T288-T, 12 V)
# Of a finger's joint and of the wrist: servo N m/rad, inertia kg m^2 with the motor's, dry friction N m.
_STIFFNESS, _INERTIA, _FRICTION = (1.5, 30.0), (1e-3, 2e-2), (0.004, 0.05)


class StandaloneHand:
    """Integrates the joints up to now whenever it is looked at.

    Args:
        gearing: joints, stops, and how fast a motor can turn them.
        clock: steady time, s.
    """

    def __init__(self, gearing: HandGearing, clock: Callable[[], float]) -> None:
        self.joint_names = gearing.joint_names
        self._clock = clock
        self._low, self._high = gearing.ranges.T
        self._fastest = _NO_LOAD_SPEED / abs(gearing.ratio)
        wrist = np.array([name == WRIST for name in gearing.joint_names])
        self._stiffness, self._inertia, self._friction = (
            np.where(wrist, values[1], values[0]) for values in (_STIFFNESS, _INERTIA, _FRICTION)
        )
        self._damping = 2 * np.sqrt(self._stiffness * self._inertia)  # critical
        joints = len(gearing.joint_names)
        self._position = np.clip(np.zeros(joints), self._low, self._high)
        self._velocity, self._torque = np.zeros(joints), np.zeros(joints)
        self._goal, self._limit = self._position.copy(), np.zeros(joints)
        self._start = self._time = clock()

    def measure(self) -> HandMeasurement:
        """Integrate up to now."""
        now = self._clock()
        self._time = max(self._time, now - _LONGEST)
        steps = int((now - self._time) / _STEP)
        for _ in range(steps):
            self._step()
        self._time += steps * _STEP
        return HandMeasurement(self._time - self._start, self._position, self._velocity, self._torque)

    def drive(
        self,
        goal: NDArray[np.float64],
        torque_limit: NDArray[np.float64],
        enabled: NDArray[np.bool_],
    ) -> None:
        """Pull to `goal` with at most `torque_limit`, where enabled."""
        self._goal, self._limit = goal, np.where(enabled, torque_limit, 0.0)

    def _step(self) -> None:
        wanted = self._stiffness * (self._goal - self._position) - self._damping * self._velocity
        self._torque = np.clip(wanted, -self._limit, self._limit)
        velocity = self._velocity + _STEP * self._torque / self._inertia
        slowed = np.maximum(abs(velocity) - _STEP * self._friction / self._inertia, 0.0)
        velocity = np.copysign(np.minimum(slowed, self._fastest), velocity)
        position = self._position + _STEP * velocity
        self._position = np.clip(position, self._low, self._high)
        self._velocity = np.where(self._position == position, velocity, 0.0)
