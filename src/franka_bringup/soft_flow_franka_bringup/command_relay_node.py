"""Stands between the arbiter and a controller of ros2_control that follows every target for ever.

crisp_controllers' CartesianController has no watchdog, takes poses that are no numbers, and ignores everybody
while two publish. This node is the only one that it hears, and serves the topics of an arm's driver.
"""

import dataclasses
import time
from typing import Any

import numpy as np
from diagnostic_msgs.msg import DiagnosticStatus
from geometry_msgs.msg import PoseStamped
from rclpy.context import Context
from rclpy.node import Node
from rclpy.parameter import Parameter
from sensor_msgs.msg import JointState
from std_msgs.msg import Bool
from std_srvs.srv import Trigger

from soft_flow_contract import message_conversion as convert
from soft_flow_contract import topics
from soft_flow_contract.driver_machine import DriverReport
from soft_flow_contract.driver_machine import DriverState as State
from soft_flow_contract.driver_node import WATCH_PERIOD, DriverVoice, other_publishers
from soft_flow_contract.errors import ContractError
from soft_flow_contract.graph_node import STEADY, Readiness, declare_parameters, run_node
from soft_flow_contract.robot_cell import RobotCell
from soft_flow_franka_bringup.arm_follower import FollowerSettings
from soft_flow_franka_bringup.arm_state import ArmState
from soft_flow_franka_bringup.command_relay_parameters import CommandRelayParameters
from soft_flow_franka_bringup.franka_kinematics import flange_pose
from soft_flow_franka_bringup.relayed_arm import RelayedArm, RelaySettings, ToController
from soft_flow_franka_bringup.target_guard import CommandedPose, TargetRefused

# The controller's side; the launch file remaps these to where franka_ros2 and crisp_controllers are.
CONTROLLER_TARGET_POSE = "controller/target_pose"
CONTROLLER_TARGET_JOINT = "controller/target_joint"
CONTROLLER_JOINT_STATES = "controller/joint_states"
_NANOSECONDS_IN_MS = 1_000_000


class CommandRelayNode(Node):
    """Thin shell over `RelayedArm`."""

    def __init__(self, context: Context | None = None, overrides: list[Parameter] | None = None) -> None:
        super().__init__("command_relay_node", context=context, parameter_overrides=overrides or [])
        p = declare_parameters(self, CommandRelayParameters)
        cell = RobotCell.load(p.robot_file)
        follower = FollowerSettings(p.command_watchdog, p.time_scale, p.interpolation_time)
        lag = RelaySettings(p.max_lag, p.max_lag_angle)
        self._arm = RelayedArm(cell.arm, cell.workspace, follower, lag)
        self._joint_names = cell.arm.joint_names
        self._state: ArmState | None = None
        self._state_error = ""
        self._create_controllers_side()
        self._create_arbiters_side()
        self._readiness = Readiness(
            self,
            [self._joint_states, self._pose, self._reference],
            [self._targets, self._stop, self._controller_states],
        )
        self._voice = DriverVoice(self, topics.ARM_DRIVER_STATE, self._report, self._values)
        self.create_timer(WATCH_PERIOD, self._watch, clock=STEADY)

    def _create_controllers_side(self) -> None:
        self._reference = self.create_publisher(PoseStamped, CONTROLLER_TARGET_POSE, topics.COMMAND)
        self._posture = self.create_publisher(JointState, CONTROLLER_TARGET_JOINT, topics.COMMAND)
        self._controller_states = self.create_subscription(
            JointState, CONTROLLER_JOINT_STATES, self._on_joint_states, topics.sensor(False)
        )

    def _create_arbiters_side(self) -> None:
        self._joint_states = self.create_publisher(JointState, topics.ARM_JOINT_STATES, topics.sensor(False))
        self._pose = self.create_publisher(PoseStamped, topics.ARM_CURRENT_POSE, topics.sensor(False))
        self._targets = self.create_subscription(
            PoseStamped, topics.ARM_TARGET_POSE, self._on_target, topics.COMMAND
        )
        self._stop = self.create_subscription(
            Bool, topics.EMERGENCY_STOP_STATE, self._on_emergency_stop, topics.STATE
        )
        self.create_service(Trigger, topics.ARM_RECOVER, self._on_recover)

    # The arm

    def _on_joint_states(self, message: JointState) -> None:
        try:
            position, velocity, torque = (
                convert.joint_values(message, self._joint_names, values)
                for values in ("position", "velocity", "effort")
            )
        except ContractError as error:
            self._report_state_error(str(error))
            return
        self._state_error = ""
        stamp_ns = convert.to_nanoseconds(message.header.stamp)
        self._state = ArmState(
            time_ms=stamp_ns // _NANOSECONDS_IN_MS,
            position=position,
            velocity=velocity,
            torque=torque,
            flange=flange_pose(position),
            mode="Move",
            errors=(),
            success_rate=1.0,
            external_force=np.zeros(3),
        )
        self._joint_states.publish(
            convert.to_joint_state(self._joint_names, position, stamp_ns, velocity, torque)
        )
        self._pose.publish(convert.to_pose_stamped(self._state.flange, stamp_ns))
        if self._arm.active:
            self._send(self._arm.observe(self._state, time.monotonic()))
            self._voice.tell()

    def _report_state_error(self, error: str) -> None:
        is_new, self._state_error = error != self._state_error, error
        if is_new:
            self.get_logger().error(f"{self._controller_states.topic_name}: {error}")

    def _send(self, to_controller: ToController) -> None:
        stamp_ns = self.get_clock().now().nanoseconds
        if to_controller.flange is not None:
            self._reference.publish(convert.to_pose_stamped(to_controller.flange, stamp_ns))
        if to_controller.posture is not None:
            # The controller takes all joints in its order, whatever they are called.
            self._posture.publish(convert.to_joint_state(self._joint_names, to_controller.posture, stamp_ns))

    # Commands

    def _on_target(self, message: PoseStamped) -> None:
        self._require_one_publisher()
        pose = convert.to_pose(message.pose)
        stamp_ns = convert.to_nanoseconds(message.header.stamp)
        commanded = CommandedPose(pose.position, pose.quaternion, message.header.frame_id, stamp_ns)
        try:
            self._arm.command(commanded, time.monotonic())
        except TargetRefused as refusal:
            self.get_logger().warning(str(refusal), throttle_duration_sec=1.0)

    def _on_emergency_stop(self, message: Bool) -> None:
        self._arm.emergency_stop(message.data)
        self._send(self._arm.due(time.monotonic()))
        self._voice.tell()

    def _on_recover(self, request: Trigger.Request, response: Trigger.Response) -> Trigger.Response:
        response.message = self._publisher_problem() or self._arm.recover(time.monotonic())
        response.success = not response.message
        self.get_logger().info(f"recover: {response.message or 'follows commands again'}")
        self._voice.tell()
        return response

    def _watch(self) -> None:
        now = time.monotonic()
        if not self._arm.active:
            if self._state is not None and not self._waits_for():
                self._arm.activate(self._state, now)
        else:
            self._require_one_publisher()
            if self._reference.get_subscription_count() == 0:
                self._arm.fail(
                    f"no controller listens to {self._reference.topic_name}; is "
                    "cartesian_impedance_controller loaded?"
                )
            self._send(self._arm.due(now))
        self._voice.tell()

    def _waits_for(self) -> str:
        """What is missing before commands may be followed; empty if nothing is."""
        if self._state is None:
            return f"waits for joint states on {self._controller_states.topic_name}"
        if self._reference.get_subscription_count() == 0:
            return f"waits for a controller that listens to {self._reference.topic_name}"
        return ""

    def _require_one_publisher(self) -> None:
        if problem := self._publisher_problem():
            self._arm.fail(problem)
            self._send(self._arm.due(time.monotonic()))

    def _publisher_problem(self) -> str:
        """Who else commands the arm, or its controller past this node; empty if nobody does."""
        names = (self._targets.topic_name, self._reference.topic_name, self._posture.topic_name)
        return next(filter(None, (other_publishers(self, name) for name in names)), "")

    # State

    def _report(self) -> DriverReport:
        report = self._arm.report()
        if report.state is not State.INACTIVE:
            return report
        return dataclasses.replace(report, reason=self._state_error or self._waits_for() or report.reason)

    def _values(self) -> dict[str, Any]:
        values: dict[str, Any] = {"joint_state_error": self._state_error}
        if self._arm.active:
            values["state_age_ms"] = f"{1e3 * self._arm.age(time.monotonic()):.1f}"
        return values

    def status(self) -> DiagnosticStatus:
        """See DriverVoice."""
        return self._voice.status()


def main() -> None:
    """Run the node."""
    run_node(CommandRelayNode)


if __name__ == "__main__":
    main()
