"""What libfranka's error flags mean for the person in front of the arm."""

from collections.abc import Iterable

_ADVICE = {
    "joint_reflex": "a collision: a push at a joint beyond collision_torque of the cell",
    "cartesian_reflex": "a collision: a push at the flange beyond collision_force of the cell",
    "communication_constraints_violation": (
        "commands came too late: this computer or its network is too slow; see real time in the README"
    ),
    "joint_position_limits_violation": "a joint is past its end: guide it back by hand",
    "joint_velocity_violation": "a joint was too fast",
    "cartesian_velocity_violation": "the flange was too fast",
    "tau_j_range_violation": "a torque sensor is out of range: is the payload of the cell right?",
    "self_collision_avoidance_violation": "the arm would have met itself",
    "power_limit_violation": "the commands ask for too much power",
    "controller_torque_discontinuity": "the commanded torque jumped",
    "instability_detected": "the controller oscillates: lower the stiffness of the cell",
}
_MODES = {
    "Guiding": "someone guides the arm by hand; let go of its buttons",
    "UserStopped": "the user stop is pressed; release it",
    "Reflex": "the arm is in a reflex",
    "Other": "the brakes are locked, or FCI is off; open Desk",
    "AutomaticErrorRecovery": "the arm is recovering",
}


def flag_names(flags: str) -> tuple[str, ...]:
    """Names in libfranka's text for a set of errors, such as `["joint_reflex", "cartesian_reflex"]`."""
    return tuple(name for name in flags.strip("[] ").replace('"', "").replace(",", " ").split() if name)


def in_words(names: Iterable[str]) -> str:
    """The errors with what to do about them; empty if there are none."""
    return "; ".join(
        name.replace("_", " ") + (f" ({_ADVICE[name]})" if name in _ADVICE else "") for name in names
    )


def mode_in_words(mode: str) -> str:
    """Why an arm in this mode (a name of franka::RobotMode) takes no commands; empty if it does."""
    return _MODES.get(mode, "")
