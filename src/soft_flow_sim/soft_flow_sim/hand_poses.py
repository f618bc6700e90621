"""Poses of arm and hand that task, assist and operator share."""

import numpy as np
from numpy.typing import NDArray

from soft_flow_contract.pose import Pose
from soft_flow_sim.orca_hand_model import HAND_JOINT_NAMES

# The flange points down, turned so that the palm faces +y and the index finger points along +x.
FLANGE_DOWN = np.diag([1.0, -1.0, -1.0]) @ np.array(
    [[np.sqrt(0.5), -np.sqrt(0.5), 0.0], [np.sqrt(0.5), np.sqrt(0.5), 0.0], [0.0, 0.0, 1.0]]
)
HOME_FLANGE = Pose.from_matrix(np.array([0.45, -0.19, 0.53]), FLANGE_DOWN)
# Joint angles near home (rad), to which the arm's null space is drawn.
HOME_POSTURE = np.array([-0.35, -0.25, 0.0, -2.20, 0.0, 1.95, 0.40])


def hand_pose(angles: dict[str, float]) -> NDArray[np.float64]:
    """Joint angles by name to a vector in orca_core's order; joints left out are 0 rad.

    Raises:
        KeyError: there is no joint of that name.
    """
    unknown = set(angles) - set(HAND_JOINT_NAMES)
    if unknown:
        raise KeyError(f"unknown hand joints {sorted(unknown)}; the hand has {', '.join(HAND_JOINT_NAMES)}")
    return np.array([angles.get(name, 0.0) for name in HAND_JOINT_NAMES])


# The flexion of each finger in the grasp, rad.
GRASP_MCP, GRASP_PIP = 0.60, 1.00
_SPREAD = {"index_abd": -0.12, "pinky_abd": 0.15}
OPEN_HAND = hand_pose(
    {f"{finger}_{joint}": 0.08 for finger in ("index", "middle", "ring", "pinky") for joint in ("mcp", "pip")}
    | {"thumb_cmc": -0.6, "thumb_abd": 0.3, "thumb_mcp": -0.2, "thumb_dip": 0.0}
    | _SPREAD
)
GRASP_HAND = hand_pose(
    {f"{finger}_mcp": GRASP_MCP for finger in ("index", "middle", "ring", "pinky")}
    | {f"{finger}_pip": GRASP_PIP for finger in ("index", "middle", "ring", "pinky")}
    | {"thumb_cmc": -0.35, "thumb_abd": 0.4, "thumb_mcp": 0.15, "thumb_dip": 0.45}
    | _SPREAD
)
# The palm (body ``wrist`` with the wrist joint at 0) in the frame of the flange.
PALM_IN_FLANGE = Pose.from_matrix(
    np.array([0.0, 0.0, 0.1623]),
    np.array([[-np.sqrt(0.5), -np.sqrt(0.5), 0.0], [np.sqrt(0.5), -np.sqrt(0.5), 0.0], [0.0, 0.0, 1.0]]),
)
# Where the scissors' grip belongs in the frame of the palm (body ``wrist``: +z to the fingers, +y out of the
# palm, index finger at -x), metres.
GRIP_IN_PALM = np.array([-0.004, 0.041, 0.080])
