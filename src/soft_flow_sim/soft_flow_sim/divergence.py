"""Recognizes a simulation that has left the realm of numbers."""

import mujoco
import numpy as np

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
    for warning, text in _WARNINGS.items():
        if data.warning[warning].number:
            return f"the simulation diverged: {text} (degree of freedom {data.warning[warning].lastinfo})"
    if not np.isfinite(data.qpos).all():
        return "the simulation diverged: a position is not finite"
    return ""
