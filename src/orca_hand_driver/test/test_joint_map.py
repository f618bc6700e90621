"""Between motors and joints: there and back, signs of torque, and what is not calibrated."""

import numpy as np
import pytest

from orca_hand_driver.joint_map import TORQUE_PER_CURRENT, affine_joint_map


def test_joints_to_motors_and_back_is_the_same() -> None:
    joint_map = affine_joint_map([2, 0, 1], [10.0, -20.0, 5.0], [70.0, -60.0, 35.0], [True, True, False])
    assert joint_map is not None
    joints = np.array([0.3, -0.2, 1.1])
    np.testing.assert_allclose(joint_map.to_joints(joint_map.to_motors(joints)), joints)
    np.testing.assert_allclose(joint_map.to_joints(np.zeros(3)), np.deg2rad([10.0, -20.0, 5.0]))


def test_power_is_the_same_on_both_sides_and_a_motor_without_current_has_no_torque() -> None:
    joint_map = affine_joint_map([0, 1], [0.0, 0.0], [-40.0, 30.0], [True, False])
    assert joint_map is not None
    current, speed = np.array([200.0, 500.0]), np.array([1.5, 1.0])
    power = joint_map.to_joint_torque(current) * joint_map.to_joint_velocity(speed)
    np.testing.assert_allclose(power, [TORQUE_PER_CURRENT * 0.2 * 1.5, 0.0])
    assert joint_map.to_joint_torque(current)[0] < 0  # the motor turns the other way


def test_a_joint_without_calibration_gives_no_map() -> None:
    assert affine_joint_map([0, 1], [0.0, None], [1.0, None], [True, True]) is None


def test_a_motor_that_hardly_turned_or_turned_on_makes_its_joint_implausible() -> None:
    joint_map = affine_joint_map([0, 1, 2], [0.0] * 3, [np.rad2deg(5.1), np.rad2deg(-1.3), 11.0], [True] * 3)
    assert joint_map is not None
    assert joint_map.implausible() == [0, 2]


def test_a_joint_that_its_motor_does_not_move_is_refused() -> None:
    with pytest.raises(ValueError, match=r"\[1\] are not calibrated"):
        affine_joint_map([0, 1], [0.0, 1.0], [1.0, 1.0], [True, True])
