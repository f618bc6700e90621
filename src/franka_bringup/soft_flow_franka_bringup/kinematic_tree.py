"""Links, the joints between them, and simple shapes to see them by: what a URDF says of a robot."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from soft_flow_contract.errors import ContractError
from soft_flow_contract.pose import Pose

Vector3 = tuple[float, float, float]
AT_PARENT = Pose(np.zeros(3), np.array([0.0, 0.0, 0.0, 1.0]))


class TreeError(ContractError):
    """Links and joints do not make one tree, or a value does not belong to it."""


@dataclass(frozen=True)
class Box:
    """A box; size along its axes, m."""

    size: Vector3


@dataclass(frozen=True)
class Cylinder:
    """A cylinder about its z axis, its middle at the origin; m."""

    radius: float
    length: float


@dataclass(frozen=True)
class Sphere:
    """A sphere; m."""

    radius: float


@dataclass(frozen=True)
class Visual:
    """A shape in its link's frame, in one of the colours of `COLORS`."""

    shape: Box | Cylinder | Sphere
    pose: Pose
    color: str


COLORS: dict[str, tuple[float, float, float, float]] = {
    "white": (0.93, 0.94, 0.95, 1.0),
    "grey": (0.55, 0.58, 0.62, 1.0),
    "dark": (0.16, 0.17, 0.19, 1.0),
    "light": (0.90, 0.89, 0.86, 1.0),
}


@dataclass(frozen=True)
class Link:
    """A rigid body; its frame is that of the joint that moves it."""

    name: str
    visuals: tuple[Visual, ...] = ()


@dataclass(frozen=True)
class JointRange:
    """Where a joint ends (rad), and its limits of speed (rad/s) and torque (N m)."""

    low: float
    high: float
    speed: float
    torque: float


@dataclass(frozen=True)
class Joint:
    """A joint: the child's frame in the parent's, turned about the axis by the joint's angle.

    Attributes:
        origin: of the child's frame in the parent's at angle 0.
        axis: (3,) unit vector in the child's frame; None if the joint is fixed.
        range: None if the joint is fixed.
    """

    name: str
    parent: str
    child: str
    origin: Pose
    axis: NDArray[np.float64] | None = None
    range: JointRange | None = None


@dataclass(frozen=True)
class KinematicTree:
    """A robot; links and joints in any order.

    Raises:
        TreeError: two of one name, a joint to an unknown link, a link with two parents, or several roots.
    """

    name: str
    links: tuple[Link, ...]
    joints: tuple[Joint, ...]

    def __post_init__(self) -> None:
        names = [link.name for link in self.links]
        for kind, found in (("links", names), ("joints", [joint.name for joint in self.joints])):
            twice = sorted({name for name in found if found.count(name) > 1})
            if twice:
                raise TreeError(f"{self.name}: several {kind} are called {', '.join(twice)}")
        for joint in self.joints:
            unknown = {joint.parent, joint.child} - set(names)
            if unknown:
                raise TreeError(f"{self.name}: joint {joint.name} is at unknown links {sorted(unknown)}")
        children = [joint.child for joint in self.joints]
        if len(set(children)) < len(children):
            raise TreeError(f"{self.name}: a link has two parents in {children}")
        # With one parent for each link but one, what the root does not reach is a ring.
        if len(self.links) - len(children) != 1 or len(self.outwards()) != len(self.joints):
            raise TreeError(f"{self.name}: its {len(self.links)} links are not one tree")

    @property
    def root(self) -> str:
        """The link without a parent."""
        children = {joint.child for joint in self.joints}
        return next(link.name for link in self.links if link.name not in children)

    @property
    def movable(self) -> tuple[Joint, ...]:
        """The joints with an axis, in the order given."""
        return tuple(joint for joint in self.joints if joint.axis is not None)

    def outwards(self) -> tuple[Joint, ...]:
        """The joints from the root on, each after that of its parent."""
        found: list[Joint] = []
        reached = [self.root]
        while reached:
            parent = reached.pop(0)
            beyond = [joint for joint in self.joints if joint.parent == parent]
            found += beyond
            reached += [joint.child for joint in beyond]
        return tuple(found)


def box_between(low: Vector3, high: Vector3, color: str) -> Visual:
    """A box along the link's axes from one corner to the opposite one."""
    center, size = np.add(low, high) / 2, np.subtract(high, low)
    return Visual(Box((float(size[0]), float(size[1]), float(size[2]))), _at(center), color)


def capsule(
    start: NDArray[np.float64], end: NDArray[np.float64], radius: float, color: str
) -> tuple[Visual, ...]:
    """A cylinder with round ends from one point of the link to another; a sphere if they are the same."""
    along = np.subtract(end, start)
    length = float(np.linalg.norm(along))
    ends = [Visual(Sphere(radius), _at(np.asarray(start, float)), color)]
    if length < 1e-6:
        return tuple(ends)
    ends.append(Visual(Sphere(radius), _at(np.asarray(end, float)), color))
    pose = Pose(np.add(start, end) / 2, _turn_z_to(along / length))
    return (*ends, Visual(Cylinder(radius, length), pose, color))


def _at(position: NDArray[np.float64]) -> Pose:
    return Pose(np.asarray(position, float), AT_PARENT.quaternion)


def _turn_z_to(direction: NDArray[np.float64]) -> NDArray[np.float64]:
    """Quaternion (x y z w) of the shortest turn of the z axis to a unit vector."""
    x, y, z = direction
    if z < -1 + 1e-9:
        return np.array([1.0, 0.0, 0.0, 0.0])
    quaternion = np.array([-y, x, 0.0, 1.0 + z])
    return quaternion / np.linalg.norm(quaternion)
