"""A kinematic tree as URDF, the description of a robot that tools of ROS read."""

from xml.etree import ElementTree

import numpy as np
from numpy.typing import NDArray
from scipy.spatial.transform import Rotation

from soft_flow_contract.pose import Pose
from soft_flow_franka_bringup.kinematic_tree import (
    COLORS,
    Box,
    Cylinder,
    Joint,
    KinematicTree,
    Link,
    Sphere,
    Visual,
)

_DIGITS = 12  # of numbers; their rounding is far below what could be measured


def urdf(tree: KinematicTree) -> str:
    """The tree's URDF: XML, shapes in place of meshes, no masses (it is for seeing, not for simulating)."""
    robot = ElementTree.Element("robot", name=tree.name)
    for name, color in COLORS.items():
        material = ElementTree.SubElement(robot, "material", name=name)
        ElementTree.SubElement(material, "color", rgba=_numbers(color))
    for link in tree.links:
        _add_link(robot, link)
    for joint in tree.joints:
        _add_joint(robot, joint)
    ElementTree.indent(robot)
    return ElementTree.tostring(robot, encoding="unicode", xml_declaration=True)


def _add_link(robot: ElementTree.Element, link: Link) -> None:
    element = ElementTree.SubElement(robot, "link", name=link.name)
    for visual in link.visuals:
        child = ElementTree.SubElement(element, "visual")
        _add_origin(child, visual.pose)
        _add_shape(ElementTree.SubElement(child, "geometry"), visual)
        ElementTree.SubElement(child, "material", name=visual.color)


def _add_shape(geometry: ElementTree.Element, visual: Visual) -> None:
    match visual.shape:
        case Box(size):
            ElementTree.SubElement(geometry, "box", size=_numbers(size))
        case Cylinder(radius, length):
            ElementTree.SubElement(geometry, "cylinder", radius=_number(radius), length=_number(length))
        case Sphere(radius):
            ElementTree.SubElement(geometry, "sphere", radius=_number(radius))


def _add_joint(robot: ElementTree.Element, joint: Joint) -> None:
    kind = "fixed" if joint.axis is None else "revolute"
    element = ElementTree.SubElement(robot, "joint", name=joint.name, type=kind)
    _add_origin(element, joint.origin)
    ElementTree.SubElement(element, "parent", link=joint.parent)
    ElementTree.SubElement(element, "child", link=joint.child)
    if joint.axis is not None:
        ElementTree.SubElement(element, "axis", xyz=_numbers(joint.axis))
    if joint.range is not None:
        bounds = {
            "lower": joint.range.low,
            "upper": joint.range.high,
            "velocity": joint.range.speed,
            "effort": joint.range.torque,
        }
        ElementTree.SubElement(element, "limit", {name: _number(value) for name, value in bounds.items()})


def _add_origin(element: ElementTree.Element, pose: Pose) -> None:
    angles = _roll_pitch_yaw(pose.matrix)
    ElementTree.SubElement(element, "origin", xyz=_numbers(pose.position), rpy=_numbers(angles))


def _roll_pitch_yaw(rotation: NDArray[np.float64]) -> NDArray[np.float64]:
    """Angles about fixed x, y and z (rad) of a rotation matrix (3, 3): R = Rz(yaw) Ry(pitch) Rx(roll)."""
    pitch = np.arctan2(-rotation[2, 0], np.hypot(rotation[0, 0], rotation[1, 0]))
    # At a right angle roll and yaw turn about one line, as at many of these frames: call it all roll.
    yaw = 0.0 if abs(np.cos(pitch)) < 1e-9 else np.arctan2(rotation[1, 0], rotation[0, 0])
    # What is left when yaw and pitch are taken away turns about x only.
    rest = Rotation.from_euler("yz", [pitch, yaw]).inv().as_matrix() @ rotation
    return np.array([np.arctan2(rest[2, 1], rest[1, 1]), pitch, yaw])


def _numbers(values: "NDArray[np.float64] | tuple[float, ...]") -> str:
    return " ".join(_number(value) for value in values)


def _number(value: float) -> str:
    return f"{float(value) + 0.0:.{_DIGITS}g}"  # the sum turns -0 into 0
