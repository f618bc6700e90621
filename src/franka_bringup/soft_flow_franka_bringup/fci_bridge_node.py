"""Drives a Franka arm over franky: target poses in, joint states and flange pose out."""

import sys
import time
from typing import Any

from diagnostic_msgs.msg import DiagnosticStatus
from geometry_msgs.msg import PoseStamped
from rclpy.callback_groups import ReentrantCallbackGroup
from rclpy.lifecycle import LifecycleNode, LifecycleState, TransitionCallbackReturn
from rclpy.task import Future
from sensor_msgs.msg import JointState
from std_msgs.msg import Bool
from std_srvs.srv import Trigger

from soft_flow_contract import message_conversion as convert
from soft_flow_contract import topics
from soft_flow_contract.driver_machine import DriverState as State
from soft_flow_contract.errors import ContractError
from soft_flow_contract.graph_node import (
    STEADY,
    Diagnostics,
    Readiness,
    declare_parameters,
    diagnostic_status,
    run_node,
)
from soft_flow_contract.robot_cell import RobotCell
from soft_flow_franka_bringup.arm_follower import ArmFollower, FollowerSettings
from soft_flow_franka_bringup.arm_state import ArmState
from soft_flow_franka_bringup.arm_thread import ArmThread, ThreadEvents
from soft_flow_franka_bringup.controller_call import ControllerCall
from soft_flow_franka_bringup.fci_bridge_parameters import FciBridgeParameters
from soft_flow_franka_bringup.other_publishers import other_publishers
from soft_flow_franka_bringup.target_guard import CommandedPose, TargetRefused
from soft_flow_msgs.msg import DriverState

SUCCESS, FAILURE = TransitionCallbackReturn.SUCCESS, TransitionCallbackReturn.FAILURE
_WATCH_PERIOD = 0.02  # s between looks at what the arm's thread may be too busy to notice
_SWITCH_INTERVAL = 5e-4  # s after which the interpreter lets the other thread go on


class ActiveReadiness(Readiness):
    """Ready when matched and following commands."""

    active = False

    def missing(self) -> list[str]:
        """As `Readiness.missing`, and the activation of the node."""
        return [*super().missing(), *([] if self.active else ["activation"])]


class FciBridgeNode(LifecycleNode):
    """Thin shell over `ArmFollower` (what is done) and `ArmThread` (which does it)."""

    def __init__(self, **kwargs: Any) -> None:
        super().__init__("fci_bridge_node", **kwargs)
        self.parameters = declare_parameters(self, FciBridgeParameters)
        self.follower: ArmFollower | None = None
        self.arm: ArmThread | None = None
        self._joint_names: tuple[str, ...] = ()
        self._pressed: bool | None = None
        self._told: tuple[int, str] | None = None
        self._error = ""
        self._news = self.create_guard_condition(self._tell_state)
        self._joint_states = self.create_publisher(JointState, topics.ARM_JOINT_STATES, topics.sensor(False))
        self._pose = self.create_publisher(PoseStamped, topics.ARM_CURRENT_POSE, topics.sensor(False))
        self._driver_state = self.create_publisher(DriverState, topics.ARM_DRIVER_STATE, topics.STATE)
        self._targets = self.create_subscription(
            PoseStamped, topics.ARM_TARGET_POSE, self._on_target, topics.COMMAND
        )
        stop = self.create_subscription(
            Bool, topics.EMERGENCY_STOP_STATE, self._on_emergency_stop, topics.STATE
        )
        # In a group of its own: it waits for the arm's thread while everything else goes on.
        self.create_service(
            Trigger, topics.ARM_RECOVER, self._on_recover, callback_group=ReentrantCallbackGroup()
        )
        self._readiness = ActiveReadiness(self, [self._joint_states, self._pose], [self._targets, stop])
        self._diagnostics = Diagnostics(self, self.status)
        self.create_timer(_WATCH_PERIOD, self._watch, clock=STEADY)
        self.create_timer(1.0, lambda: self._tell_state(again=True), clock=STEADY)
        if self.parameters.autostart:
            self._started_at = time.monotonic()
            self._autostart = self.create_timer(0.05, self._start, clock=STEADY)

    # Lifecycle. rclpy turns an exception in a transition into ERROR without a log line: log and return.

    def _start(self) -> None:
        """Configure, then activate as soon as the arm answers; exit if it never does."""
        if self.arm is None and self.trigger_configure() != SUCCESS:
            raise SystemExit(1)
        assert self.arm is not None
        waited = time.monotonic() - self._started_at
        if self.arm.connected:
            self._autostart.cancel()
            if self.trigger_activate() != SUCCESS:
                raise SystemExit(1)
        elif self.arm.incompatible or waited > self.parameters.connect_timeout:
            self.get_logger().fatal(f"gives up after {waited:.0f} s: {self.arm.problem}")
            raise SystemExit(1)

    def on_configure(self, state: LifecycleState) -> TransitionCallbackReturn:
        """Read the cell, begin to connect."""
        p = self.parameters
        try:
            cell = RobotCell.load(p.robot_file)
        except ContractError as error:
            self._fail_transition(str(error))
            return FAILURE
        settings = FollowerSettings(p.command_watchdog, p.time_scale, p.interpolation_time)
        self.follower = ArmFollower(cell.arm, cell.workspace, settings)
        if self._pressed is not None:
            self.follower.emergency_stop(self._pressed)
        self._joint_names = cell.arm.joint_names
        events = ThreadEvents(self._publish_state, self._news.trigger, self._log)
        self.arm = ArmThread(ControllerCall(cell.arm), self.follower, p.state_rate, events)
        self.arm.start()
        return SUCCESS

    def on_activate(self, state: LifecycleState) -> TransitionCallbackReturn:
        """Hold the arm, and follow commands from now on."""
        assert self.arm is not None and self.follower is not None
        if not self.arm.connected:
            self._fail_transition(self.arm.problem)
            return FAILURE
        self.follower.activate()
        self._readiness.active = True
        self._tell_state()
        return super().on_activate(state)

    def on_deactivate(self, state: LifecycleState) -> TransitionCallbackReturn:
        """Bring the arm to rest and leave it to its controller."""
        assert self.follower is not None
        self._readiness.active = False
        self.follower.deactivate()
        self._tell_state()
        return super().on_deactivate(state)

    def on_cleanup(self, state: LifecycleState) -> TransitionCallbackReturn:
        """Disconnect."""
        self._close_arm()
        return SUCCESS

    def on_shutdown(self, state: LifecycleState) -> TransitionCallbackReturn:
        """Bring the arm to rest and disconnect."""
        self._close_arm()
        return SUCCESS

    def destroy_node(self) -> None:
        """Bring the arm to rest and disconnect, then as usual."""
        self._close_arm()
        super().destroy_node()

    def _close_arm(self) -> None:
        self._readiness.active = False
        if self.arm is not None:
            self.arm.close()
        self.arm = self.follower = None

    def _log(self, text: str, is_problem: bool) -> None:
        if is_problem:
            self.get_logger().warning(text)
        else:
            self.get_logger().info(text)

    def _fail_transition(self, error: str) -> None:
        self._error = error
        self.get_logger().error(error)

    # Commands

    def _on_target(self, message: PoseStamped) -> None:
        if self.follower is None:
            return
        self._require_one_publisher()
        pose = convert.to_pose(message.pose)
        stamp_ns = convert.to_nanoseconds(message.header.stamp)
        commanded = CommandedPose(pose.position, pose.quaternion, message.header.frame_id, stamp_ns)
        try:
            self.follower.command(commanded, time.monotonic())
        except TargetRefused as refusal:
            self.get_logger().warning(str(refusal), throttle_duration_sec=1.0)

    def _on_emergency_stop(self, message: Bool) -> None:
        self._pressed = message.data
        if self.follower is not None:
            self.follower.emergency_stop(message.data)
            self._tell_state()

    async def _on_recover(self, request: Trigger.Request, response: Trigger.Response) -> Trigger.Response:
        if self.arm is None:
            response.message = "the driver is not configured"
            return response
        if problem := other_publishers(self, self._targets):
            response.message = problem
            return response
        done: Future = Future(executor=self.executor)
        self.arm.recover().add_done_callback(lambda answer: done.set_result(answer.result()))
        response.message = await done
        response.success = not response.message
        self.get_logger().info(f"recover: {response.message or 'follows commands again'}")
        self._tell_state()
        return response

    def _require_one_publisher(self) -> None:
        if self.follower is not None and (problem := other_publishers(self, self._targets)):
            self.follower.fail(problem)

    def _watch(self) -> None:
        if self.follower is None or self.arm is None:
            return
        self._require_one_publisher()
        self.follower.watch(time.monotonic())
        self._tell_state()
        if self.arm.crash:
            raise SystemExit(1)

    # State

    def _publish_state(self, state: ArmState) -> None:
        """Called by the arm's thread with every new state."""
        if not self.context.ok():
            return  # the middleware ends before the arm has come to rest
        stamp_ns = self.get_clock().now().nanoseconds
        self._joint_states.publish(
            convert.to_joint_state(self._joint_names, state.position, stamp_ns, state.velocity, state.torque)
        )
        self._pose.publish(convert.to_pose_stamped(state.flange, stamp_ns))

    def _state_and_reason(self) -> tuple[int, str]:
        if self.follower is None or self.arm is None:
            return State.INACTIVE, self._error or "not configured"
        report = self.follower.report()
        inactive = report.state is State.INACTIVE
        return report.state, self.arm.problem if inactive and self.arm.problem else report.reason

    def _tell_state(self, again: bool = False) -> None:
        told = self._state_and_reason()
        if told == self._told and not again:
            return
        is_new, self._told = told != self._told, told
        message = DriverState(state=int(told[0]), reason=told[1])
        message.header.stamp = self.get_clock().now().to_msg()
        self._driver_state.publish(message)
        if is_new:
            text = f"{State(told[0]).name}{': ' if told[1] else ''}{told[1]}"
            if told[0] == State.FAULT:
                self.get_logger().error(text)
            else:
                self.get_logger().info(text)
            self._diagnostics.publish()

    def status(self) -> DiagnosticStatus:
        """Error in a fault, warning while commands are not followed for another reason."""
        state, reason = self._state_and_reason()
        levels = {State.READY: DiagnosticStatus.OK, State.FAULT: DiagnosticStatus.ERROR}
        level = levels.get(State(state), DiagnosticStatus.WARN)
        text = State(state).name.lower() + (f": {reason}" if reason else "")
        return diagnostic_status(self, level, text, self._values())

    def _values(self) -> dict[str, Any]:
        if self.follower is None or self.arm is None:
            return {}
        report, state = self.follower.report(), self.arm.state
        values: dict[str, Any] = {
            "accepted_commands": report.accepted,
            "refused_commands": report.refused,
            "clamped_commands": report.clamped,
            "last_refusal": report.last_refusal,
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
