"""The arm's kinematics, from Franka's Denavit-Hartenberg table, which Panda and FR3 share.

Source: Franka Robotics, "Robot and interface specifications" of the FCI documentation
(frankarobotics.github.io/docs), Denavit-Hartenberg parameters in Craig's convention and joint limits.
"""

import numpy as np
from numpy.typing import NDArray
from scipy.spatial.transform import Rotation

from soft_flow_contract.pose import Pose
from soft_flow_contract.robot_cell import ArmConfiguration
from soft_flow_franka_bringup.joint_limits import LIMITS
from soft_flow_franka_bringup.kinematic_tree import (
    Cylinder,
    Joint,
    JointRange,
    Link,
    Visual,
    box_between,
    capsule,
)

_RIGHT_ANGLE = np.pi / 2
# Of joints 1 to 7: a and d of the row (m), and alpha (rad).
_TABLE = (
    (0.0, 0.333, 0.0),
    (0.0, 0.0, -_RIGHT_ANGLE),
    (0.0, 0.316, _RIGHT_ANGLE),
    (0.0825, 0.0, _RIGHT_ANGLE),
    (-0.0825, 0.384, -_RIGHT_ANGLE),
    (0.0, 0.0, _RIGHT_ANGLE),
    (0.088, 0.0, _RIGHT_ANGLE),
)
_FLANGE = 0.107  # m along z of link 7; link 8 is the flange
_SPEEDS = {"fr3": (2.62, 2.62, 2.62, 2.62, 5.26, 4.18, 5.26), "panda": (2.175,) * 4 + (2.61,) * 3}  # rad/s
_TORQUES = (87.0,) * 4 + (12.0,) * 3  # N m
# Shapes to see the arm by: housings about the joints and tubes between them, m.
_HOUSING_LENGTH = 0.13
_RADII = (0.065,) * 5 + (0.050,) * 3  # of links 0 to 7
_FLANGE_RADIUS, _FLANGE_THICKNESS = 0.032, 0.012
_FOOT = ((-0.16, -0.09, 0.0), (0.08, 0.09, 0.05))


def _origin(row: tuple[float, float, float]) -> Pose:
    """Frame of a joint in the one before, at angle 0: Rx(alpha) Tx(a) Tz(d)."""
    a, d, alpha = row
    rotation = Rotation.from_euler("x", alpha)
    return Pose(np.array([a, 0.0, 0.0]) + rotation.apply([0.0, 0.0, d]), rotation.as_quat())


ORIGINS = tuple(_origin(row) for row in _TABLE)
FLANGE_ORIGIN = Pose(np.array([0.0, 0.0, _FLANGE]), np.array([0.0, 0.0, 0.0, 1.0]))


def _as_matrix(pose: Pose) -> NDArray[np.float64]:
    matrix = np.eye(4)
    matrix[:3, :3], matrix[:3, 3] = pose.matrix, pose.position
    return matrix


_ORIGIN_MATRICES = np.stack([_as_matrix(origin) for origin in ORIGINS])
_FLANGE_MATRIX = _as_matrix(FLANGE_ORIGIN)


def flange_pose(angles: NDArray[np.float64]) -> Pose:
    """The flange (link 8) in the base frame.

    Args:
        angles: (7,) rad.
    """
    turns = np.tile(np.eye(4), (7, 1, 1))
    turns[:, 0, 0] = turns[:, 1, 1] = np.cos(angles)
    turns[:, 1, 0] = np.sin(angles)
    turns[:, 0, 1] = -turns[:, 1, 0]
    pose = np.eye(4)
    for step in _ORIGIN_MATRICES @ turns:
        pose = pose @ step
    pose = pose @ _FLANGE_MATRIX
    return Pose.from_matrix(pose[:3, 3], pose[:3, :3])


def link_name(arm: ArmConfiguration, number: int) -> str:
    """Name of a link, as in Franka's own description: 0 is the base, 8 the flange."""
    return f"{arm.model}_link{number}"


def arm_parts(arm: ArmConfiguration) -> tuple[list[Link], list[Joint]]:
    """Links 0 to 8, and the joints between them in the cell's names."""
    limits, speeds = LIMITS[arm.model], _SPEEDS[arm.model]
    links = [Link(link_name(arm, number), _visuals(number)) for number in range(9)]
    joints = [
        Joint(
            name,
            link_name(arm, index),
            link_name(arm, index + 1),
            ORIGINS[index],
            np.array([0.0, 0.0, 1.0]),
            JointRange(float(limits.low[index]), float(limits.high[index]), speeds[index], _TORQUES[index]),
        )
        for index, name in enumerate(arm.joint_names)
    ]
    flange = Joint(f"{arm.model}_joint8", link_name(arm, 7), link_name(arm, 8), FLANGE_ORIGIN)
    return links, [*joints, flange]


def _visuals(number: int) -> tuple[Visual, ...]:
    """A housing about the link's own joint, and a tube to the next one."""
    if number == 8:
        middle = Pose(np.array([0.0, 0.0, -_FLANGE_THICKNESS / 2]), FLANGE_ORIGIN.quaternion)
        return (Visual(Cylinder(_FLANGE_RADIUS, _FLANGE_THICKNESS), middle, "grey"),)
    radius = _RADII[number]
    next_origin = ORIGINS[number] if number < 7 else FLANGE_ORIGIN
    end = next_origin.position - (np.array([0.0, 0.0, _FLANGE_THICKNESS]) if number == 7 else 0.0)
    tube = capsule(np.zeros(3), end, 0.8 * radius, "white")
    if number == 0:
        return (box_between(*_FOOT, "grey"), *tube)
    housing = Visual(Cylinder(radius, _HOUSING_LENGTH), Pose(np.zeros(3), FLANGE_ORIGIN.quaternion), "grey")
    return (housing, *tube)
