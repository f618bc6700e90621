"""Drives a Franka arm over franky: target poses in, joint states and flange pose out."""

import sys
import time
from typing import Any

from geometry_msgs.msg import PoseStamped
from rclpy.callback_groups import ReentrantCallbackGroup
from rclpy.lifecycle import LifecycleState, TransitionCallbackReturn
from sensor_msgs.msg import JointState
from std_srvs.srv import Trigger

from soft_flow_contract import message_conversion as convert
from soft_flow_contract import topics
from soft_flow_contract.driver_node import SUCCESS, DriverNode
from soft_flow_contract.errors import ContractError
from soft_flow_contract.graph_node import run_node
from soft_flow_contract.robot_cell import RobotCell
from soft_flow_franka_bringup.arm_follower import ArmFollower, FollowerSettings
from soft_flow_franka_bringup.arm_state import ArmState
from soft_flow_franka_bringup.arm_thread import ArmThread, ThreadEvents
from soft_flow_franka_bringup.controller_call import ControllerCall
from soft_flow_franka_bringup.fci_bridge_parameters import FciBridgeParameters
from soft_flow_franka_bringup.target_guard import CommandedPose, TargetRefused

_SWITCH_INTERVAL = 5e-4  # s after which the interpreter lets the other thread go on


class FciBridgeNode(DriverNode):
    """Thin shell over `ArmFollower` (what is done) and `ArmThread` (which does it)."""

    def __init__(self, **kwargs: Any) -> None:
        super().__init__("fci_bridge_node", FciBridgeParameters, topics.ARM_DRIVER_STATE, **kwargs)
        self._joint_names: tuple[str, ...] = ()
        self._joint_states = self.create_publisher(JointState, topics.ARM_JOINT_STATES, topics.sensor(False))
        self._pose = self.create_publisher(PoseStamped, topics.ARM_CURRENT_POSE, topics.sensor(False))
        targets = self.create_subscription(
            PoseStamped, topics.ARM_TARGET_POSE, self._on_target, topics.COMMAND
        )
        # In a group of its own: it waits for the arm's thread while everything else goes on.
        self.create_service(
            Trigger, topics.ARM_RECOVER, self._on_recover, callback_group=ReentrantCallbackGroup()
        )
        self.attend([self._joint_states, self._pose], targets)

    @property
    def arm(self) -> ArmThread | None:
        """The thread that owns the arm, once configured."""
        return self.hardware

    def on_configure(self, state: LifecycleState) -> TransitionCallbackReturn:
        """Read the cell, begin to connect."""
        p = self.parameters
        try:
            cell = RobotCell.load(p.robot_file)
        except ContractError as error:
            return self.refuse(str(error))
        settings = FollowerSettings(p.command_watchdog, p.time_scale, p.interpolation_time)
        self.follower = ArmFollower(cell.arm, cell.workspace, settings)
        if self.pressed is not None:
            self.follower.emergency_stop(self.pressed)
        self._joint_names = cell.arm.joint_names
        events = ThreadEvents(self._publish_state, self.news.trigger, self.log)
        rate = p.state_rate / p.time_scale
        self.hardware = ArmThread(ControllerCall(cell.arm), self.follower, rate, events)
        self.hardware.start()
        return SUCCESS

    def on_activate(self, state: LifecycleState) -> TransitionCallbackReturn:
        """Hold the arm, and follow commands from now on."""
        if self.arm is None or not self.arm.connected:
            return self.refuse(self.arm.problem if self.arm else "not configured")
        self.follower.activate()
        return self.activated(state)

    # Commands

    def _on_target(self, message: PoseStamped) -> None:
        if self.follower is None:
            return
        self.require_one_publisher()
        pose = convert.to_pose(message.pose)
        stamp_ns = convert.to_nanoseconds(message.header.stamp)
        commanded = CommandedPose(pose.position, pose.quaternion, message.header.frame_id, stamp_ns)
        try:
            self.follower.command(commanded, time.monotonic())
        except TargetRefused as refusal:
            self.get_logger().warning(str(refusal), throttle_duration_sec=1.0)

    async def _on_recover(self, request: Trigger.Request, response: Trigger.Response) -> Trigger.Response:
        response.message = self.require_one_publisher()
        if self.arm is None:
            response.message = "the driver is not configured"
        if response.message:
            return response
        return await self.answer(response, self.arm.recover(), "recover")

    # State

    def _publish_state(self, state: ArmState) -> None:
        """Called by the arm's thread with every new state."""
        stamp_ns = self.get_clock().now().nanoseconds
        joints = convert.to_joint_state(
            self._joint_names, state.position, stamp_ns, state.velocity, state.torque
        )
        self.publish_sample(self._joint_states, joints)
        self.publish_sample(self._pose, convert.to_pose_stamped(state.flange, stamp_ns))

    def values(self) -> dict[str, Any]:
        """What the diagnostics show beside the state."""
        if self.follower is None or self.arm is None:
            return {}
        state = self.arm.state
        values: dict[str, Any] = {
            "lost_connections": self.arm.losses,
            "loop_jitter_p99_ms": f"{1e3 * self.arm.jitter_p99():.2f}",
        }
        if state is not None:
            force = float((state.external_force**2).sum() ** 0.5)
            values |= {
                "state_age_ms": f"{1e3 * self.follower.age(time.monotonic()):.1f}",
                "robot_mode": state.mode,
                "robot_errors": ", ".join(state.errors),
                "control_success_rate": f"{state.success_rate:.2f}",
                "external_force_n": f"{force:.1f}",
            }
        return values


def main() -> None:
    """Run the node."""
    # The arm's thread shares the interpreter with the executor and should not wait for it for long.
    sys.setswitchinterval(_SWITCH_INTERVAL)
    run_node(FciBridgeNode)


if __name__ == "__main__":
    main()
