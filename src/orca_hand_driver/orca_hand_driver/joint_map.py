"""Between motors (orca_core's order) and joints: angles, speeds, and an estimate of torque."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

# XC330-T288-T: stall torque 0.92 N m at 0.80 A and 11.1 V (Robotis e-manual).
TORQUE_PER_CURRENT = 0.92 / 0.80  # N m/A
# A motor turns at least a fifth as far as its joint, and at most five times as far (v2.1 hands: 0.7 to 1.6).
MOST_GEARED = 5.0


@dataclass(frozen=True)
class JointMap:
    """The affine map of a calibrated hand: joint = offset + slope * motor, both in rad.

    Attributes:
        motors: (J,) index of each joint's motor in orca_core's `motor_ids`.
        offset: (J,) rad.
        slope: (J,) rad of the joint for one of the motor; negative where the motor turns the other way.
        torque_constant: (J,) N m/A of each joint's motor; 0 where it measures no current (the wrist's XC430).
    """

    motors: NDArray[np.intp]
    offset: NDArray[np.float64]
    slope: NDArray[np.float64]
    torque_constant: NDArray[np.float64]

    def __post_init__(self) -> None:
        usable = np.isfinite(self.offset) & np.isfinite(self.slope) & (self.slope != 0)
        if not usable.all():
            raise ValueError(f"joint map: joints {np.flatnonzero(~usable).tolist()} are not calibrated")

    def implausible(self) -> list[int]:
        """Joints whose motors hardly turned, or turned on, when they were calibrated: they met no stop."""
        size = np.abs(self.slope)
        return np.flatnonzero((size > MOST_GEARED) | (size < 1 / MOST_GEARED)).tolist()

    def to_joints(self, motor_position: NDArray[np.float64]) -> NDArray[np.float64]:
        """Motor angles (M,) to joint angles (J,), rad."""
        return self.offset + self.slope * motor_position[self.motors]

    def to_joint_velocity(self, motor_velocity: NDArray[np.float64]) -> NDArray[np.float64]:
        """Motor speeds (M,) to joint speeds (J,), rad/s."""
        return self.slope * motor_velocity[self.motors]

    def to_joint_torque(self, motor_current: NDArray[np.float64]) -> NDArray[np.float64]:
        """Motor currents (M,) in mA to joint torques (J,) in N m, as if tendons had no friction."""
        torque = self.torque_constant * motor_current[self.motors] * 1e-3
        return torque / self.slope  # torque * speed is the same on both sides

    def to_motors(self, joint_position: NDArray[np.float64]) -> NDArray[np.float64]:
        """Joint angles (J,) to motor angles (M,), rad."""
        motor_position = np.empty(len(self.motors))
        motor_position[self.motors] = (joint_position - self.offset) / self.slope
        return motor_position


def affine_joint_map(
    motors: Sequence[int],
    degrees_at_zero: Sequence[float | None],
    degrees_at_one: Sequence[float | None],
    has_current: Sequence[bool],
) -> JointMap | None:
    """The map through two points: joint angles (degrees) with all motors at 0 and at 1 rad.

    Args:
        motors: index of each joint's motor.
        degrees_at_zero: joint angles with every motor at 0 rad; None where a joint is not calibrated.
        degrees_at_one: the same at 1 rad.
        has_current: whether each joint's motor measures its current.

    Returns:
        None if a joint is not calibrated.
    """
    if any(value is None for value in (*degrees_at_zero, *degrees_at_one)):
        return None
    zero, one = np.deg2rad(np.array([degrees_at_zero, degrees_at_one], float))
    constant = np.where(has_current, TORQUE_PER_CURRENT, 0.0)
    return JointMap(np.array(motors, np.intp), zero, one - zero, constant)
