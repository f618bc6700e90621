"""Publishes the cell's URDF and the frames of arm, hand and cameras, so that a 3D view shows the robot."""

import time
from collections.abc import Sequence
from dataclasses import dataclass, field

from builtin_interfaces.msg import Time
from diagnostic_msgs.msg import DiagnosticStatus
from geometry_msgs.msg import TransformStamped
from rclpy.context import Context
from rclpy.node import Node
from rclpy.parameter import Parameter
from sensor_msgs.msg import JointState
from std_msgs.msg import String
from tf2_msgs.msg import TFMessage

from soft_flow_contract import message_conversion as convert
from soft_flow_contract import topics
from soft_flow_contract.errors import ContractError
from soft_flow_contract.graph_node import (
    STEADY,
    Diagnostics,
    declare_parameters,
    diagnostic_status,
    parameter,
    run_node,
)
from soft_flow_contract.robot_cell import RobotCell
from soft_flow_franka_bringup.cell_kinematics import BASE, cell_kinematics
from soft_flow_franka_bringup.forward_kinematics import FramePose, MovingFrames, fixed_frames
from soft_flow_franka_bringup.franka_kinematics import link_name
from soft_flow_franka_bringup.robot_description import urdf

ROBOT_DESCRIPTION = "robot_description"
_TF_DEPTH = 100  # as tf2's own broadcaster


@dataclass(frozen=True)
class Parameters:
    """Parameters of robot_description_node."""

    robot_file: str = parameter("config/robots/fr3_orca_right.yaml", "robot cell (YAML)")
    rate: float = parameter(50.0, "frames a second at most (Hz)", 1.0, 50.0)
    arm_frames: bool = parameter(True, "publish the arm's frames; false where franka_ros2 does")


@dataclass
class _Source:
    """Joint states that move some frames: those of the arm, or those of the hand."""

    topic: str
    frames: MovingFrames
    newest: JointState | None = None
    received_at: float = field(default=-float("inf"))
    is_new: bool = False
    error: str = ""

    def take(self, message: JointState) -> None:
        self.newest, self.received_at, self.is_new = message, time.monotonic(), True


class RobotDescriptionNode(Node):
    """Thin shell over `cell_kinematics`, `urdf` and `MovingFrames`."""

    def __init__(self, context: Context | None = None, overrides: list[Parameter] | None = None) -> None:
        super().__init__("robot_description_node", context=context, parameter_overrides=overrides or [])
        parameters = declare_parameters(self, Parameters)
        self._cell = RobotCell.load(parameters.robot_file)
        self._kinematics = cell_kinematics(self._cell)
        self._frames = 0
        self._description = self.create_publisher(String, ROBOT_DESCRIPTION, topics.STATE)
        self._static = self.create_publisher(TFMessage, topics.TF_STATIC, topics.STATE)
        self._moving = self.create_publisher(TFMessage, topics.TF, _TF_DEPTH)
        self._sources = self._subscribe(parameters.arm_frames)
        self._publish_once(parameters.arm_frames)
        self._timer = self.create_timer(1.0 / parameters.rate, self._publish_new, clock=STEADY)
        self._diagnostics = Diagnostics(self, self.status)
        if self._kinematics.unknown_hand:
            self.get_logger().warning(f"shows no hand: {self._kinematics.unknown_hand}")

    def _subscribe(self, arm_frames: bool) -> list[_Source]:
        tree, sources = self._kinematics.tree, []
        if arm_frames:
            arm = MovingFrames(tree, self._cell.arm.joint_names)
            sources.append(_Source(topics.ARM_JOINT_STATES, arm))
        if self._kinematics.hand_joint_names:
            hand = MovingFrames(tree, self._kinematics.hand_joint_names)
            sources.append(_Source(topics.HAND_JOINT_STATES, hand))
        for source in sources:
            self.create_subscription(JointState, source.topic, source.take, topics.sensor(False))
        return sources

    def _publish_once(self, arm_frames: bool) -> None:
        self._description.publish(String(data=urdf(self._kinematics.tree)))
        theirs = set() if arm_frames else {link_name(self._cell.arm, number) for number in range(9)}
        frames = [frame for frame in fixed_frames(self._kinematics.tree) if frame.child not in theirs]
        self._static.publish(_message(frames, self.get_clock().now().to_msg()))

    def _publish_new(self) -> None:
        """What came since the last time, each with the stamp of its joint state."""
        message = TFMessage()
        for source in self._sources:
            if source.is_new:
                source.is_new = False
                message.transforms += self._transforms(source)
        if message.transforms:
            self._frames += 1
            self._moving.publish(message)

    def _transforms(self, source: _Source) -> list[TransformStamped]:
        state = source.newest
        try:
            angles = convert.joint_values(state, source.frames.joint_names)
        except ContractError as error:
            is_new, source.error = str(error) != source.error, str(error)
            if is_new:
                self.get_logger().error(f"{source.topic}: {error}")
            return []
        source.error = ""
        return list(_message(source.frames.at(angles), state.header.stamp).transforms)

    def status(self) -> DiagnosticStatus:
        """Error if joint states do not fit the cell, warning while something cannot be shown."""
        errors = [f"{source.topic}: {source.error}" for source in self._sources if source.error]
        unseen = [f"no {source.topic} yet" for source in self._sources if source.newest is None]
        unknown = [self._kinematics.unknown_hand] if self._kinematics.unknown_hand else []
        problems = [*errors, *unseen, *unknown]
        level = DiagnosticStatus.WARN if problems else DiagnosticStatus.OK
        unplaced = ", ".join(self._kinematics.unplaced_cameras)
        values = {"base_frame": BASE, "messages": self._frames, "cameras_without_placement": unplaced}
        for source in self._sources:
            if source.newest is not None:
                values[f"age_of_{source.topic}_s"] = f"{time.monotonic() - source.received_at:.2f}"
        return diagnostic_status(
            self, DiagnosticStatus.ERROR if errors else level, "; ".join(problems) or "publishing", values
        )


def _message(frames: Sequence[FramePose], stamp: Time) -> TFMessage:
    message = TFMessage()
    for frame in frames:
        transform = TransformStamped(child_frame_id=frame.child)
        transform.header.stamp, transform.header.frame_id = stamp, frame.parent
        pose = convert.to_pose_message(frame.pose)
        translation = transform.transform.translation
        translation.x, translation.y, translation.z = pose.position.x, pose.position.y, pose.position.z
        transform.transform.rotation = pose.orientation
        message.transforms.append(transform)
    return message


def main() -> None:
    """Run the node."""
    run_node(RobotDescriptionNode)


if __name__ == "__main__":
    main()
