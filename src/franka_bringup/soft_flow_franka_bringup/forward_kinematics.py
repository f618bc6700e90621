"""Where the frames of a kinematic tree are, for given joint angles."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from soft_flow_contract.pose import Pose
from soft_flow_franka_bringup.kinematic_tree import KinematicTree, TreeError


@dataclass(frozen=True)
class FramePose:
    """A frame in that of its parent."""

    parent: str
    child: str
    pose: Pose


class MovingFrames:
    """The frames that some joints of a tree move, each in its parent's frame.

    All joints are computed at once: joint k turns its child's frame by q_k = o_k * (a_k sin(t_k / 2),
    cos(t_k / 2)), with the origin's quaternion o_k, the axis a_k and the angle t_k.
    """

    def __init__(self, tree: KinematicTree, joint_names: Sequence[str]) -> None:
        """Look at these joints.

        Raises:
            TreeError: the tree has no movable joint of a name.
        """
        movable = {joint.name: joint for joint in tree.movable}
        missing = [name for name in joint_names if name not in movable]
        if missing:
            raise TreeError(f"{tree.name}: no joints {missing}; it has {', '.join(movable)}")
        joints = [movable[name] for name in joint_names]
        self.joint_names = tuple(joint_names)
        self._links = [(joint.parent, joint.child) for joint in joints]
        self._positions = [joint.origin.position for joint in joints]
        self._origins = np.array([joint.origin.quaternion for joint in joints])
        self._axes = np.array([joint.axis for joint in joints])

    def at(self, angles: NDArray[np.float64]) -> list[FramePose]:
        """The frames for angles in the order of `joint_names`, (n,), rad."""
        half = np.asarray(angles, float)[:, None] / 2
        turns = np.concatenate([self._axes * np.sin(half), np.cos(half)], axis=1)
        quaternions = _product(self._origins, turns)
        return [
            FramePose(parent, child, Pose(position, quaternion))
            for (parent, child), position, quaternion in zip(
                self._links, self._positions, quaternions, strict=True
            )
        ]


def fixed_frames(tree: KinematicTree) -> list[FramePose]:
    """The frames that no joint moves."""
    return [FramePose(joint.parent, joint.child, joint.origin) for joint in tree.joints if joint.axis is None]


def link_poses(tree: KinematicTree, angles: Mapping[str, float]) -> dict[str, Pose]:
    """The pose of every link in the root's frame; joints left out are at 0.

    Raises:
        TreeError: an angle belongs to no movable joint.
    """
    names = [joint.name for joint in tree.movable]
    unknown = set(angles) - set(names)
    if unknown:
        raise TreeError(f"{tree.name}: no joints {sorted(unknown)}; it has {', '.join(names)}")
    moved = MovingFrames(tree, names).at(np.array([angles.get(name, 0.0) for name in names]))
    in_parent = {frame.child: frame.pose for frame in [*fixed_frames(tree), *moved]}
    poses = {tree.root: Pose(np.zeros(3), np.array([0.0, 0.0, 0.0, 1.0]))}
    for joint in tree.outwards():
        parent, child = poses[joint.parent], in_parent[joint.child]
        quaternion = _product(parent.quaternion[None], child.quaternion[None])[0]
        poses[joint.child] = Pose(parent.position + parent.matrix @ child.position, quaternion)
    return poses


def _product(left: NDArray[np.float64], right: NDArray[np.float64]) -> NDArray[np.float64]:
    """Hamilton products of quaternions x y z w, (n, 4) each."""
    vector = left[:, 3:] * right[:, :3] + right[:, 3:] * left[:, :3] + np.cross(left[:, :3], right[:, :3])
    scalar = left[:, 3] * right[:, 3] - (left[:, :3] * right[:, :3]).sum(axis=1)
    return np.concatenate([vector, scalar[:, None]], axis=1)
