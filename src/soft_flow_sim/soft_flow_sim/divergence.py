"""Recognizes a simulation that has left the realm of numbers."""

import mujoco

_WARNINGS = {
    mujoco.mjtWarning.mjWARN_BADQPOS: "a position is not finite or huge",
    mujoco.mjtWarning.mjWARN_BADQVEL: "a velocity is not finite or huge",
    mujoco.mjtWarning.mjWARN_BADQACC: "an acceleration is not finite or huge",
    mujoco.mjtWarning.mjWARN_BADCTRL: "a control is not finite",
}


def divergence_reason(data: mujoco.MjData) -> str:
    """Says why a world has diverged since its last reset, or "" if it has not.

    MuJoCo resets a diverged world silently (which would mend a cut tape), so its warnings are the evidence.
    """
    counts = data.warning.number
    if not counts.any():
        return ""
    for warning, text in _WARNINGS.items():
        if counts[int(warning)]:
            return f"the simulation diverged: {text} (degree of freedom {data.warning[warning].lastinfo})"
    return ""
