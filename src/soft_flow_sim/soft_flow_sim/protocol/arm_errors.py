"""The arm's errors by their place in libfranka's list (franka::Errors, libfranka 0.21)."""

ERROR_COUNT = 41
JOINT_POSITION_LIMITS = 0
JOINT_VELOCITY = 3
JOINT_REFLEX = 6
CARTESIAN_REFLEX = 7
COMMUNICATION = 25
TORQUE_RANGE = 34
NAMES = {
    "joint_position_limits_violation": JOINT_POSITION_LIMITS,
    "joint_velocity_violation": JOINT_VELOCITY,
    "joint_reflex": JOINT_REFLEX,
    "cartesian_reflex": CARTESIAN_REFLEX,
    "communication_constraints_violation": COMMUNICATION,
    "tau_j_range_violation": TORQUE_RANGE,
}


def error_flags(*errors: int) -> tuple[bool, ...]:
    """The list with these errors set."""
    return tuple(place in errors for place in range(ERROR_COUNT))
