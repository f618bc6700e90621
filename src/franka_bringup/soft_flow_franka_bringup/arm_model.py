"""Kinematics and inertia of the arm, from the URDF that its controller hands out.

franky has both, but computes them in buffers that its control loop shares: calling its model while the arm is
driven gives garbage now and then, to the caller or to the loop.
"""

from dataclasses import dataclass
from xml.etree import ElementTree

import numpy as np
from numpy.typing import NDArray
from scipy.spatial.transform import Rotation

from soft_flow_contract.errors import ContractError
from soft_flow_contract.robot_cell import Payload

_FLANGE = "link8"  # how the name of the flange's link ends
Matrix = NDArray[np.float64]


class ArmModelError(ContractError):
    """The URDF is not that of an arm with seven revolute joints."""


@dataclass(frozen=True)
class ArmLink:
    """A joint about its z axis and the body that it moves.

    Attributes:
        rotation: (3, 3) of the joint's frame in that of the joint before, at angle 0.
        translation: (3,) of the same, m.
        mass: of the body, kg.
        center: (3,) its centre of mass in the joint's frame, m.
        inertia: (3, 3) about it, in the joint's axes, kg m^2.
    """

    rotation: Matrix
    translation: Matrix
    mass: float
    center: Matrix
    inertia: Matrix


class ArmModel:
    """Jacobian and mass matrix of the arm with its payload."""

    def __init__(self, links: list[ArmLink], flange: Matrix, payload: Payload) -> None:
        """Seven links, the flange's origin in the last one's frame (3,), and what hangs on it."""
        self._links, self._flange = links[:-1] + [_with_payload(links[-1], flange, payload)], flange

    @classmethod
    def from_urdf(cls, urdf: str, payload: Payload) -> "ArmModel":
        """Read a URDF whose flange's link is named `link8`, with or without a prefix.

        Raises:
            ArmModelError: it has no such link, or other than seven joints about z lead there.
        """
        root = ElementTree.fromstring(urdf)
        joints = {joint.find("child").get("link"): joint for joint in root.iter("joint")}  # type: ignore
        bodies = {link.get("name"): link.find("inertial") for link in root.iter("link")}
        names = [name for name in joints if name and name.endswith(_FLANGE)]
        if not names:
            raise ArmModelError(f"the controller's URDF has no link '{_FLANGE}'")
        links: list[ArmLink] = []
        rotation, translation = np.eye(3), np.zeros(3)  # of the fixed joints since the last revolute one
        chain: list[ElementTree.Element] = []
        name = names[0]
        while name in joints:
            chain.insert(0, joints[name])
            name = joints[name].find("parent").get("link")  # type: ignore[union-attr]
        for joint in chain:
            own_rotation, own_translation = _origin(joint)
            translation = translation + rotation @ own_translation
            rotation = rotation @ own_rotation
            if joint.get("type") == "revolute":
                body = bodies[joint.find("child").get("link")]  # type: ignore[union-attr]
                links.append(ArmLink(rotation, translation, *_inertial(body)))
                rotation, translation = np.eye(3), np.zeros(3)
        if len(links) != 7:
            raise ArmModelError(f"the controller's URDF has {len(links)} joints; expected 7")
        return cls(links, translation, payload)

    def _frames(self, position: Matrix) -> tuple[list[Matrix], list[Matrix]]:
        """Rotations (3, 3) and origins (3,) of the joints' frames in the base frame."""
        rotation, origin = np.eye(3), np.zeros(3)
        rotations, origins = [], []
        for link, sine, cosine in zip(self._links, np.sin(position), np.cos(position), strict=True):
            origin = origin + rotation @ link.translation
            turn = np.array([[cosine, -sine, 0.0], [sine, cosine, 0.0], [0.0, 0.0, 1.0]])
            rotation = rotation @ link.rotation @ turn
            rotations.append(rotation)
            origins.append(origin)
        return rotations, origins

    def jacobian(self, position: Matrix) -> Matrix:
        """Of the flange's origin in the base frame, (6, 7): velocity, then angular velocity."""
        rotations, origins = self._frames(position)
        axes = np.array([rotation[:, 2] for rotation in rotations])
        arms = origins[-1] + rotations[-1] @ self._flange - np.array(origins)
        return np.vstack([_cross(axes, arms).T, axes.T])

    def bias(self, position: Matrix, velocity: Matrix) -> Matrix:
        """What the flange accelerates by while no joint does, (6,): the Jacobian's rate times velocity."""
        step = 1e-4  # s
        later = self.jacobian(position + step * velocity)
        earlier = self.jacobian(position - step * velocity)
        return np.asarray((later - earlier) @ velocity / (2 * step))

    def mass(self, position: Matrix) -> Matrix:
        """Joint-space mass matrix (7, 7), kg m^2, without rotors: the sum of m Jv^T Jv + Jw^T I Jw."""
        rotations, origins = self._frames(position)
        axes = np.array([rotation[:, 2] for rotation in rotations])
        total = np.zeros((7, 7))
        for index, link in enumerate(self._links):
            moving = slice(0, index + 1)
            arms = origins[index] + rotations[index] @ link.center - np.array(origins[moving])
            linear = _cross(axes[moving], arms)
            angular = axes[moving] @ rotations[index]
            total[moving, moving] += link.mass * linear @ linear.T + angular @ link.inertia @ angular.T
        return total


_NEXT, _AFTER = [1, 2, 0], [2, 0, 1]


def _cross(one: Matrix, two: Matrix) -> Matrix:
    """Cross products of the rows of (N, 3) matrices; a tenth of what np.cross takes for so few."""
    return np.asarray(one[:, _NEXT] * two[:, _AFTER] - one[:, _AFTER] * two[:, _NEXT])


def _origin(element: ElementTree.Element) -> tuple[Matrix, Matrix]:
    origin = element.find("origin")
    if origin is None:
        return np.eye(3), np.zeros(3)
    angles = [float(number) for number in origin.get("rpy", "0 0 0").split()]
    translation = np.array([float(number) for number in origin.get("xyz", "0 0 0").split()])
    return Rotation.from_euler("xyz", angles).as_matrix(), translation


def _inertial(body: ElementTree.Element | None) -> tuple[float, Matrix, Matrix]:
    """Mass, centre of mass and inertia about it, in the link's frame; nothing if the link has none."""
    if body is None:
        return 0.0, np.zeros(3), np.zeros((3, 3))
    rotation, center = _origin(body)
    mass, tensor = body.find("mass"), body.find("inertia")
    if mass is None or tensor is None:
        raise ArmModelError("a link of the controller's URDF has no mass or inertia")
    axes = ("xx", "yy", "zz", "xy", "xz", "yz")
    xx, yy, zz, xy, xz, yz = (float(tensor.get(f"i{pair}", "0")) for pair in axes)
    inertia = np.array([[xx, xy, xz], [xy, yy, yz], [xz, yz, zz]])
    return float(mass.get("value", "0")), center, rotation @ inertia @ rotation.T


def _with_payload(link: ArmLink, flange: Matrix, payload: Payload) -> ArmLink:
    """The last link and the payload as one body (the flange's axes are the link's)."""
    center = flange + np.array(payload.center_of_mass)
    mass = link.mass + payload.mass
    common = (link.mass * link.center + payload.mass * center) / mass
    inertia = (
        link.inertia
        + np.diag(payload.inertia)
        + _steiner(link.mass, link.center - common)
        + _steiner(payload.mass, center - common)
    )
    return ArmLink(link.rotation, link.translation, mass, common, inertia)


def _steiner(mass: float, offset: Matrix) -> Matrix:
    """What a point mass at an offset has as inertia, (3, 3)."""
    return np.asarray(mass * (offset @ offset * np.eye(3) - np.outer(offset, offset)))
