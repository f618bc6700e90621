"""The URDF read back by others: by pinocchio's parser, and as XML."""

from pathlib import Path
from xml.etree import ElementTree

import numpy as np
import pinocchio
import pytest
from scipy.spatial.transform import Rotation

from soft_flow_contract.pose import Pose
from soft_flow_contract.robot_cell import Placement, RobotCell
from soft_flow_franka_bringup import robot_urdf
from soft_flow_franka_bringup.cell_kinematics import cell_kinematics
from soft_flow_franka_bringup.forward_kinematics import link_poses
from soft_flow_franka_bringup.kinematic_tree import COLORS, Joint, KinematicTree, Link
from soft_flow_franka_bringup.robot_description import urdf

ROBOTS = Path(__file__).parents[3] / "config" / "robots"


def placed_cell(name: str) -> RobotCell:
    """A cell whose cameras all have a place."""
    cell = RobotCell.load(ROBOTS / f"{name}.yaml")
    place = Placement(position=(0.1, -0.2, 0.3), quaternion=(0.5, -0.5, 0.5, -0.5))
    cameras = tuple(camera.model_copy(update={"placement": place}) for camera in cell.cameras)
    return cell.model_copy(update={"cameras": cameras})


@pytest.mark.parametrize("name", ["fr3_orca_right", "panda_orca_right", "protocol_sim"])
def test_pinocchio_reads_the_urdf_and_has_every_frame_where_the_tree_has_it(name: str) -> None:
    tree = cell_kinematics(placed_cell(name)).tree
    model = pinocchio.buildModelFromXML(urdf(tree))
    data = model.createData()
    assert sorted(model.names[1:]) == sorted(joint.name for joint in tree.movable)  # 0: the universe
    generator = np.random.default_rng(3)
    for _ in range(10):
        angles = {j.name: generator.uniform(j.range.low, j.range.high) for j in tree.movable}
        values = np.array([angles[name] for name in model.names[1:]])
        pinocchio.framesForwardKinematics(model, data, values)
        for link, pose in link_poses(tree, angles).items():
            there = data.oMf[model.getFrameId(link, pinocchio.FrameType.BODY)]
            np.testing.assert_allclose(pose.position, there.translation, atol=1e-9, err_msg=link)
            np.testing.assert_allclose(pose.matrix, there.rotation, atol=1e-8, err_msg=link)


def test_joint_limits_in_the_urdf_are_those_of_the_tree() -> None:
    tree = cell_kinematics(placed_cell("fr3_orca_right")).tree
    model = pinocchio.buildModelFromXML(urdf(tree))
    ranges = {joint.name: joint.range for joint in tree.movable}
    names = list(model.names[1:])
    np.testing.assert_allclose(model.lowerPositionLimit, [ranges[name].low for name in names])
    np.testing.assert_allclose(model.upperPositionLimit, [ranges[name].high for name in names])
    np.testing.assert_allclose(model.velocityLimit, [ranges[name].speed for name in names])


def test_every_shape_is_positive_and_of_a_declared_colour() -> None:
    root = ElementTree.fromstring(urdf(cell_kinematics(placed_cell("fr3_orca_right")).tree))
    assert {material.get("name") for material in root.iter("material")} == set(COLORS)
    shapes = [shape for geometry in root.iter("geometry") for shape in geometry]
    assert {shape.tag for shape in shapes} == {"box", "cylinder", "sphere"}
    sizes = [float(number) for shape in shapes for text in shape.attrib.values() for number in text.split()]
    assert min(sizes) > 0
    assert "mesh" not in {element.tag for element in root.iter()}


@pytest.mark.parametrize("pitch", [0.3, np.pi / 2, -np.pi / 2])
def test_any_orientation_survives_the_roll_pitch_and_yaw_of_urdf(pitch: float) -> None:
    rotation = Rotation.from_euler("xyz", [0.7, pitch, -1.2])
    joint = Joint("j", "a", "b", Pose(np.array([1.0, 2.0, 3.0]), rotation.as_quat()))
    text = urdf(KinematicTree("toy", (Link("a"), Link("b")), (joint,)))
    origin = ElementTree.fromstring(text).find("joint/origin")
    angles = [float(number) for number in origin.get("rpy").split()]
    np.testing.assert_allclose(
        Rotation.from_euler("xyz", angles).as_matrix(), rotation.as_matrix(), atol=1e-8
    )


def test_the_urdf_of_a_cell_is_printed(capsys: pytest.CaptureFixture[str]) -> None:
    assert robot_urdf.main([str(ROBOTS / "fr3_orca_right.yaml")]) == 0
    assert ElementTree.fromstring(capsys.readouterr().out).get("name") == "fr3_orca_right"
    assert robot_urdf.main(["nowhere.yaml"]) == 2
    assert "nowhere.yaml" in capsys.readouterr().err
