"""The node in-process; a peer plays the drivers and a 3D view."""

import time
from collections.abc import Callable, Iterator
from pathlib import Path
from xml.etree import ElementTree

import numpy as np
import pytest
import rclpy
import yaml
from diagnostic_msgs.msg import DiagnosticStatus
from geometry_msgs.msg import TransformStamped
from rclpy.context import Context
from rclpy.executors import SingleThreadedExecutor
from rclpy.parameter import Parameter
from sensor_msgs.msg import JointState
from std_msgs.msg import String
from tf2_msgs.msg import TFMessage

from soft_flow_contract import message_conversion as convert
from soft_flow_contract import topics
from soft_flow_contract.robot_cell import RobotCell
from soft_flow_franka_bringup.cell_kinematics import cell_kinematics
from soft_flow_franka_bringup.forward_kinematics import link_poses
from soft_flow_franka_bringup.robot_description_node import ROBOT_DESCRIPTION, RobotDescriptionNode

CELL = Path(__file__).parents[3] / "config" / "robots" / "fr3_orca_right.yaml"
DEADLINE = 30.0
STAMP = 12_345_678_901


class View:
    """The node, drivers that a test publishes for, and all that a 3D view receives."""

    def __init__(self, robot_file: Path, **parameters: object) -> None:
        self.cell = RobotCell.load(robot_file)
        self.kinematics = cell_kinematics(self.cell)
        self.context = Context()
        rclpy.init(context=self.context)
        values = {"robot_file": str(robot_file), **parameters}
        self.node = RobotDescriptionNode(self.context, [Parameter(n, value=v) for n, v in values.items()])
        self.peer = rclpy.create_node("peer", context=self.context)
        self.executor = SingleThreadedExecutor(context=self.context)
        self.executor.add_node(self.node)
        self.executor.add_node(self.peer)
        self.arm = self.peer.create_publisher(JointState, topics.ARM_JOINT_STATES, topics.sensor(True))
        self.hand = self.peer.create_publisher(JointState, topics.HAND_JOINT_STATES, topics.sensor(True))
        self.descriptions: list[str] = []
        self.messages: list[TFMessage] = []
        self.transforms: dict[str, TransformStamped] = {}
        subscribe = self.peer.create_subscription
        subscribe(TFMessage, topics.TF, self._on_frames, 100)
        subscribe(TFMessage, topics.TF_STATIC, self._keep, topics.STATE)
        subscribe(String, ROBOT_DESCRIPTION, lambda m: self.descriptions.append(m.data), topics.STATE)

    def _keep(self, message: TFMessage) -> None:
        self.transforms |= {transform.child_frame_id: transform for transform in message.transforms}

    def _on_frames(self, message: TFMessage) -> None:
        self.messages.append(message)
        self._keep(message)

    def close(self) -> None:
        self.executor.shutdown()
        self.node.destroy_node()
        self.peer.destroy_node()
        rclpy.shutdown(context=self.context)

    def until(self, condition: Callable[[], bool], what: str) -> None:
        end = time.monotonic() + DEADLINE
        while not condition():
            assert time.monotonic() < end, f"never happened: {what}"
            self.executor.spin_once(timeout_sec=0.01)

    def matched(self) -> None:
        self.until(lambda: self.arm.get_subscription_count() > 0, "a subscriber of the arm")

    def move(self, angles: dict[str, float], stamp_ns: int = STAMP) -> None:
        """Publish joint states of arm and hand, the arm's in another order than the cell's."""
        arm = self.cell.arm.joint_names[::-1]
        self.arm.publish(convert.to_joint_state(arm, np.array([angles[n] for n in arm]), stamp_ns))
        hand = self.kinematics.hand_joint_names
        self.hand.publish(convert.to_joint_state(hand, np.array([angles[n] for n in hand]), stamp_ns))

    def chain(self, child: str) -> np.ndarray:
        """Pose of a frame in `base` as a 3D view composes it, (4, 4)."""
        matrix = np.eye(4)
        while child != "base":
            transform = self.transforms[child]
            t, q = transform.transform.translation, transform.transform.rotation
            step = np.eye(4)
            step[:3, :3] = convert.to_pose(_pose(t, q)).matrix
            step[:3, 3] = t.x, t.y, t.z
            matrix, child = step @ matrix, transform.header.frame_id
        return matrix


def _pose(translation: object, rotation: object) -> convert.PoseMessage:
    pose = convert.PoseMessage(orientation=rotation)
    pose.position.x, pose.position.y, pose.position.z = translation.x, translation.y, translation.z
    return pose


def changed_cell(folder: Path, change: Callable[[dict], None]) -> Path:
    content = yaml.safe_load(CELL.read_text())
    change(content)
    path = folder / "cell.yaml"
    path.write_text(yaml.safe_dump(content))
    return path


@pytest.fixture
def make_view() -> Iterator[Callable[..., View]]:
    views: list[View] = []

    def make(robot_file: Path = CELL, **parameters: object) -> View:
        views.append(View(robot_file, **parameters))
        return views[-1]

    yield make
    for view in views:
        view.close()


def test_a_late_viewer_has_the_description_and_every_frame_where_the_robot_is(
    make_view: Callable[..., View],
) -> None:
    view = make_view()
    view.matched()
    generator = np.random.default_rng(0)
    movable = view.kinematics.tree.movable
    angles = {joint.name: generator.uniform(joint.range.low, joint.range.high) for joint in movable}
    view.move(angles)
    links = {link.name for link in view.kinematics.tree.links} - {"base"}
    view.until(lambda: links == set(view.transforms), "all frames")
    view.until(lambda: bool(view.descriptions), "a description")
    described = {link.get("name") for link in ElementTree.fromstring(view.descriptions[0]).iter("link")}
    assert described == links | {"base"}
    for name, pose in link_poses(view.kinematics.tree, angles).items():
        found = view.chain(name)
        np.testing.assert_allclose(found[:3, 3], pose.position, atol=1e-9, err_msg=name)
        np.testing.assert_allclose(found[:3, :3], pose.matrix, atol=1e-9, err_msg=name)
    stamps = {convert.to_nanoseconds(t.header.stamp) for m in view.messages for t in m.transforms}
    assert stamps == {STAMP}


def test_a_state_is_published_once_and_only_the_newest_one_of_a_tick(make_view: Callable[..., View]) -> None:
    view = make_view()
    view.matched()
    angles = dict.fromkeys((joint.name for joint in view.kinematics.tree.movable), 0.0)
    sent = 0
    while len(view.messages) < 5:
        sent += 1
        view.move(angles, sent)
        view.executor.spin_once(timeout_sec=0.001)
    arm = [m.transforms[0].header.stamp.nanosec for m in view.messages if len(m.transforms) >= 7]
    assert arm == sorted(set(arm))
    assert max(len(m.transforms) for m in view.messages) <= 7 + 17
    view.until(lambda: not any(source.is_new for source in view.node._sources), "the last state")
    published = view.node._frames
    for _ in range(10):
        view.node._publish_new()
    assert view.node._frames == published


def test_the_arms_frames_are_left_to_franka_ros2_where_it_publishes_them(
    make_view: Callable[..., View],
) -> None:
    view = make_view(arm_frames=False)
    view.until(lambda: "flange" in view.transforms, "static frames")
    view.hand.publish(convert.to_joint_state(view.kinematics.hand_joint_names, np.zeros(17), STAMP))
    view.until(lambda: "hand_index_pip" in view.transforms or _resend(view), "the hand's frames")
    assert not [name for name in view.transforms if name.startswith("fr3_")]
    assert view.transforms["flange"].header.frame_id == "fr3_link8"


def _resend(view: View) -> bool:
    view.hand.publish(convert.to_joint_state(view.kinematics.hand_joint_names, np.zeros(17), STAMP))
    return False


def test_a_hand_that_nobody_knows_is_a_warning_and_the_arm_is_shown(
    make_view: Callable[..., View], tmp_path: Path
) -> None:
    view = make_view(changed_cell(tmp_path, lambda cell: cell["hand"].update(version="v1")))
    view.matched()
    arm = view.cell.arm.joint_names
    view.arm.publish(convert.to_joint_state(arm, np.zeros(7), STAMP))
    view.until(lambda: "fr3_link7" in view.transforms, "the arm's frames")
    status = view.node.status()
    assert status.level == DiagnosticStatus.WARN
    assert "v1" in status.message
    assert not [name for name in view.transforms if name.startswith("hand")]


def test_joint_states_of_another_arm_are_an_error_that_names_the_joint(
    make_view: Callable[..., View],
) -> None:
    view = make_view()
    view.matched()
    assert "no arm/joint_states yet" in view.node.status().message
    wrong = [f"panda_joint{number}" for number in range(1, 8)]
    view.arm.publish(convert.to_joint_state(wrong, np.zeros(7), STAMP))
    view.until(lambda: view.node.status().level == DiagnosticStatus.ERROR, "an error")
    assert "fr3_joint1" in view.node.status().message
