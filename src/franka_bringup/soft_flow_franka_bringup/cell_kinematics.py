"""The whole cell as one kinematic tree: arm, hand and cameras."""

from dataclasses import dataclass

import numpy as np

from soft_flow_contract.errors import SpecificationError
from soft_flow_contract.pose import Pose
from soft_flow_contract.robot_cell import CameraConfiguration, Placement, RobotCell
from soft_flow_franka_bringup import orca_kinematics
from soft_flow_franka_bringup.franka_kinematics import arm_parts, link_name
from soft_flow_franka_bringup.kinematic_tree import AT_PARENT, Joint, KinematicTree, Link, box_between

BASE, FLANGE = "base", "flange"
# A camera's body behind its optical frame (x right, y down, z into the picture), m.
_CAMERA_BODY = ((-0.045, -0.0125, -0.025), (0.045, 0.0125, 0.0))


@dataclass(frozen=True)
class CellKinematics:
    """A cell's tree.

    Attributes:
        tree: its root is `base`; `flange` is the arm's link 8.
        hand_joint_names: in the tree's order; empty if the hand's kinematics are not known.
        unknown_hand: why the hand is left out; empty if it is not.
        unplaced_cameras: cameras that are left out: the cell does not say where they are.
    """

    tree: KinematicTree
    hand_joint_names: tuple[str, ...]
    unknown_hand: str
    unplaced_cameras: tuple[str, ...]


def cell_kinematics(cell: RobotCell) -> CellKinematics:
    """Arm, hand and cameras of a cell; a hand or camera of which too little is known is left out.

    Raises:
        SpecificationError: a camera is mounted on a frame that the cell does not have.
    """
    links, joints = arm_parts(cell.arm)
    links = [Link(BASE), *links, Link(FLANGE)]
    joints += [
        Joint(f"{link_name(cell.arm, 0)}_mount", BASE, link_name(cell.arm, 0), AT_PARENT),
        Joint("flange_mount", link_name(cell.arm, 8), FLANGE, AT_PARENT),
    ]
    unknown_hand = ""
    hand_joint_names: tuple[str, ...] = ()
    unplaced: list[str] = []
    try:
        hand_links, hand_joints = orca_kinematics.hand_parts(cell.hand)
    except orca_kinematics.HandUnknown as unknown:
        unknown_hand = str(unknown)
    else:
        mount = _pose(cell.hand_in_flange)
        links += hand_links
        joints += [*hand_joints, Joint("hand_mount", FLANGE, orca_kinematics.BASE_LINK, mount)]
        hand_joint_names = tuple(joint.name for joint in hand_joints if joint.axis is not None)
    for camera in cell.cameras:
        if camera.placement is None:
            unplaced.append(camera.name)
            continue
        _require_known(camera, {link.name for link in links})
        links.append(Link(f"{camera.name}_optical", (box_between(*_CAMERA_BODY, "dark"),)))
        joints.append(Joint(f"{camera.name}_mount", camera.parent, links[-1].name, _pose(camera.placement)))
    tree = KinematicTree(cell.name, tuple(links), tuple(joints))
    return CellKinematics(tree, hand_joint_names, unknown_hand, tuple(unplaced))


def _pose(placement: Placement) -> Pose:
    quaternion = np.array(placement.quaternion)
    return Pose(np.array(placement.position), quaternion / np.linalg.norm(quaternion))


def _require_known(camera: CameraConfiguration, links: set[str]) -> None:
    if camera.parent not in links:
        raise SpecificationError(
            f"camera {camera.name}: parent '{camera.parent}' is no frame of the cell; "
            f"expected {BASE} or {FLANGE}"
        )
