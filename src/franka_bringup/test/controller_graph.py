"""The relay in-process, with stand-ins for crisp's controller on an arm, and for the arbiter."""

from pathlib import Path

import numpy as np
import rclpy
from arm_peer import ArmPeer
from geometry_msgs.msg import PoseStamped
from rclpy.context import Context
from rclpy.node import Node
from rclpy.parameter import Parameter
from rclpy.publisher import Publisher
from rclpy.qos import QoSProfile
from sensor_msgs.msg import JointState

from soft_flow_contract import message_conversion as convert
from soft_flow_contract import topics
from soft_flow_contract.pose import Pose
from soft_flow_contract.robot_cell import RobotCell
from soft_flow_franka_bringup import command_relay_node
from soft_flow_franka_bringup.command_relay_node import CommandRelayNode
from soft_flow_franka_bringup.franka_kinematics import flange_pose
from soft_flow_msgs.msg import DriverState
from soft_flow_sim.inverse_kinematics import ArmInverseKinematics

CELL = Path(__file__).parents[3] / "config" / "robots" / "fr3_orca_right.yaml"
STATE_PERIOD_NS = 5_000_000


class StandInController:
    """Follows every target pose at once and for ever, as crisp's controller does; its arm stands otherwise.

    Its clock is the test's: states are stamped `STATE_PERIOD_NS` apart, however long the machine takes.
    """

    def __init__(self, context: Context) -> None:
        self.cell = RobotCell.load(CELL)
        self.node = rclpy.create_node("cartesian_impedance_controller", context=context)
        self._kinematics = ArmInverseKinematics(np.array(self.cell.arm.home))
        self.position = np.array(self.cell.arm.home)
        self.alive, self.follows = True, True
        self.poses: list[Pose] = []
        self.postures: list[JointState] = []
        self.stamp_ns = 1_000_000_000
        self._states = self.node.create_publisher(
            JointState, command_relay_node.CONTROLLER_JOINT_STATES, topics.sensor(True)
        )
        self.target_pose = self.node.create_subscription(
            PoseStamped, command_relay_node.CONTROLLER_TARGET_POSE, self._on_pose, QoSProfile(depth=1)
        )
        self.node.create_subscription(
            JointState, command_relay_node.CONTROLLER_TARGET_JOINT, self.postures.append, QoSProfile(depth=1)
        )
        self.node.create_timer(STATE_PERIOD_NS * 1e-9, self._publish)

    @property
    def flange(self) -> Pose:
        return flange_pose(self.position)

    def _on_pose(self, message: PoseStamped) -> None:
        pose = convert.to_pose(message.pose)
        self.poses.append(pose)
        if self.follows:
            quaternion = np.roll(pose.quaternion, 1)
            self.position = self._kinematics.solve(self.position, pose.position, quaternion, tolerance=1e-6)

    def _publish(self) -> None:
        if self.alive:
            self.stamp_ns += STATE_PERIOD_NS
            self.publish(self.cell.arm.joint_names, self.position)

    def publish(self, names: tuple[str, ...], position: np.ndarray) -> None:
        zeros = np.zeros(len(names))
        self._states.publish(convert.to_joint_state(names, position, self.stamp_ns, zeros, zeros))


class ControllerGraph(ArmPeer):
    """The relay and everything around it."""

    def __init__(self, **parameters: object) -> None:
        context = Context()
        rclpy.init(context=context)
        # What the arm's clock calls 50 ms without a state are 1 s of this machine, which may be busy.
        values = {"robot_file": str(CELL), "time_scale": 20.0, **parameters}
        self.node = CommandRelayNode(context, [Parameter(n, value=v) for n, v in values.items()])
        self.controller = StandInController(context)
        super().__init__(context, self.node, self.controller.node)

    def ready(self) -> Pose:
        """Release the emergency stop; where the flange is then."""
        self.until_state(DriverState.STOPPED)
        self.press(False)
        self.until_state(DriverState.READY)
        self.until(lambda: self.targets.get_subscription_count() == 1, "a subscriber of targets")
        self.until(lambda: bool(self.controller.poses), "the first target of the controller")
        return self.controller.flange

    def drive_to(self, pose: Pose) -> None:
        """Command a pose until the arm is there."""

        def is_there() -> bool:
            self.command(pose)
            return float(np.linalg.norm(self.controller.flange.position - pose.position)) < 1e-3

        self.until(is_there, "the arm at its target")

    def states_later(self, count: int = 20) -> None:
        """Until the arm has told its state some more times."""
        enough = len(self.joints) + count
        self.until(lambda: len(self.joints) >= enough, f"{count} states of the arm")

    def another_publisher(self, topic: str) -> tuple[Node, Publisher]:
        intruder = rclpy.create_node("intruder", context=self.context)
        return intruder, intruder.create_publisher(PoseStamped, topic, topics.COMMAND)
