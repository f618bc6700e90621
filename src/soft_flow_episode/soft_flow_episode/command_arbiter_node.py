"""The only sender of commands: answers every tick with one arm and one hand target.

Lockstep: driven by messages, it answers every observation with one command stamped with it, waiting for the
action without a deadline. Real time: it releases the command of tick t_k at t_k + phase on the ROS clock.
"""

from pathlib import Path

import numpy as np
from diagnostic_msgs.msg import DiagnosticStatus
from geometry_msgs.msg import PoseStamped
from rclpy.context import Context
from rclpy.node import Node
from rclpy.parameter import Parameter
from sensor_msgs.msg import JointState
from std_msgs.msg import Bool
from std_srvs.srv import Trigger

from soft_flow_contract import topics
from soft_flow_contract.errors import ContractError, ObservationError, SpecificationError
from soft_flow_contract.graph_node import (
    STEADY,
    Diagnostics,
    Readiness,
    declare_parameters,
    diagnostic_status,
    run_node,
)
from soft_flow_contract.message_conversion import (
    require_same_specification,
    to_joint_state,
    to_nanoseconds,
    to_pose_stamped,
    to_time,
)
from soft_flow_contract.robot_cell import RobotCell
from soft_flow_contract.robot_state import measured_state
from soft_flow_contract.task_specification import TaskSpecification
from soft_flow_episode.arbiter import Arbiter, ModeRefusedError
from soft_flow_episode.arbiter_parameters import ArbiterParameters
from soft_flow_episode.chunk_player import Chunk
from soft_flow_episode.command import Command, Mode, OperatorAction
from soft_flow_episode.driver_subscriptions_node import DriverSubscriptions
from soft_flow_episode.emergency_latch import EmergencyLatch, LatchError, default_latch_path
from soft_flow_episode.message_conversion import to_executed_message
from soft_flow_episode.start_action_node import StartAction
from soft_flow_episode.tick_schedule import TickSchedule
from soft_flow_msgs.msg import (
    Action,
    ActionChunk,
    ArbiterState,
    ExecutedAction,
    Observation,
    PolicyHeartbeat,
)
from soft_flow_msgs.srv import SetMode

_COMMAND_TOPICS = (topics.ARM_TARGET_POSE, topics.HAND_TARGET_JOINT)
PATIENCE_NS = 2_000_000_000  # lockstep: after this wait (steady clock) the state says what is waited for


class CommandArbiterNode(Node):
    """Thin shell over `Arbiter`: messages in, decisions out."""

    def __init__(self, context: Context | None = None, overrides: list[Parameter] | None = None) -> None:
        super().__init__("command_arbiter_node", context=context, parameter_overrides=overrides or [])
        self.parameters = declare_parameters(self, ArbiterParameters)
        self._specification = TaskSpecification.load(self.parameters.task_file)
        latch_file = self.parameters.latch_file
        latch = EmergencyLatch(Path(latch_file).expanduser() if latch_file else default_latch_path())
        self.arbiter = self._make_arbiter(latch)
        self._max_age_ns = round(self._specification.timing.source_max_age * 1e9)
        self._pending_ns: int | None = None  # lockstep: the observation that waits for its command
        self._pending_since_ns = 0  # steady clock
        self._latency_s = 0.0
        self._last_reason = ""
        self._make_publishers()
        self._make_subscriptions()
        self.create_service(SetMode, topics.SET_MODE, self._set_mode)
        self.create_service(Trigger, topics.EMERGENCY_STOP, self._emergency_stop)
        self.create_service(Trigger, topics.EMERGENCY_RESET, self._emergency_reset)
        self._drivers = DriverSubscriptions(
            self, self.parameters.driver_names, self.parameters.driver_timeout, self._on_driver_problem
        )
        if self.parameters.state_max_age:
            self._drivers.require_fresh_states(self.arbiter.freshness)
        self._start = StartAction(self, self.arbiter, self._publish_state) if self.arbiter.approach else None
        self._readiness = Readiness(
            self,
            [self._arm, self._hand, self._executed],
            [self._observations],
            problem=lambda: self.arbiter.driver_problem,
        )
        self._diagnostics = Diagnostics(self, self.status)
        if self.parameters.lockstep:
            self.create_timer(1.0, self._report_waiting, clock=STEADY)
        else:
            spec = self._specification
            self._schedule = TickSchedule(spec.dt_ns, spec.phase_ns, spec.timing.missed_limit)
            self._timer = self.create_timer(spec.dt, self._release_due)  # on the ROS clock
            self._rearm_timer()
        self._publish_state()

    def _make_arbiter(self, latch: EmergencyLatch) -> Arbiter:
        p = self.parameters
        try:
            return Arbiter(
                self._specification,
                latch,
                RobotCell.load(p.robot_file) if p.robot_file else None,
                p.policy_watchdog,
                p.observation_timeout,
                p.heartbeat_ticks,
                p.state_max_age,
            )
        except ValueError as error:
            raise SpecificationError(f"{p.robot_file}: {error}") from error

    def _on_driver_problem(self, problem: str) -> None:
        if self.arbiter.note_drivers(problem):
            self.get_logger().error(f"stopped: {problem}")
            self._publish_state()
            self._diagnostics.publish()

    def _make_publishers(self) -> None:
        self._arm = self.create_publisher(PoseStamped, topics.ARM_TARGET_POSE, topics.COMMAND)
        self._hand = self.create_publisher(JointState, topics.HAND_TARGET_JOINT, topics.COMMAND)
        self._executed = self.create_publisher(ExecutedAction, topics.EXECUTED_ACTION, topics.RECORDED)
        self._state = self.create_publisher(ArbiterState, topics.ARBITER_STATE, topics.STATE)
        self._stop_state = self.create_publisher(Bool, topics.EMERGENCY_STOP_STATE, topics.STATE)

    def _make_subscriptions(self) -> None:
        self._observations = self.create_subscription(
            Observation, topics.OBSERVATION, self._on_observation, topics.OBSERVATIONS
        )
        self.create_subscription(ActionChunk, topics.ACTION_CHUNK, self._on_chunk, topics.COMMAND)
        self.create_subscription(PolicyHeartbeat, topics.POLICY_HEARTBEAT, self._on_heartbeat, topics.COMMAND)
        self.create_subscription(Action, topics.TELEOP_ACTION, self._on_operator, topics.COMMAND)

    def _on_observation(self, message: Observation) -> None:
        stamp_ns = to_nanoseconds(message.header.stamp)
        try:
            require_same_specification(message, self._specification, "command arbiter")
            if stamp_ns % self._specification.dt_ns:
                raise ObservationError(f"observation stamp {stamp_ns} ns is not a tick")
            if to_nanoseconds(message.oldest_age) > self._max_age_ns:
                age_s = to_nanoseconds(message.oldest_age) * 1e-9
                raise ObservationError(f"a source is {age_s:.3f} s old, more than timing.source_max_age")
            proprioception = np.asarray(message.proprioception, dtype=np.float32)
            taken = self.arbiter.observe(stamp_ns, measured_state(self._specification, proprioception))
        except ContractError as error:
            self.arbiter.observe_invalid(stamp_ns, str(error))
            self.get_logger().error(f"observation refused, holding: {error}", throttle_duration_sec=5.0)
            taken = True
        if self.parameters.lockstep and taken:
            self._pending_ns, self._pending_since_ns = stamp_ns, STEADY.now().nanoseconds
            self._answer_pending()

    def _on_chunk(self, message: ActionChunk) -> None:
        values = np.asarray(message.actions, dtype=np.float64)
        shape = (message.horizon, message.action_dimension)
        fits = values.size == shape[0] * shape[1]
        chunk = Chunk(
            to_nanoseconds(message.header.stamp),
            message.chunk_id,
            message.policy_version,
            message.epoch,
            values.reshape(shape) if fits else values,
        )
        if reason := self.arbiter.accept_chunk(chunk):
            self.get_logger().warning(f"chunk {chunk.chunk_id} refused: {reason}", throttle_duration_sec=5.0)
        self._answer_pending()

    def _on_heartbeat(self, message: PolicyHeartbeat) -> None:
        self.arbiter.accept_heartbeat(to_nanoseconds(message.header.stamp), message.healthy)
        if not message.healthy:
            self._answer_pending()

    def _on_operator(self, message: Action) -> None:
        self.arbiter.accept_operator(
            OperatorAction(
                to_nanoseconds(message.header.stamp),
                np.asarray(message.values, dtype=np.float64),
                message.deadman,
                message.source == "scripted",
            )
        )
        self._answer_pending()

    def _answer_pending(self) -> None:
        """Lockstep: send the command of the waiting observation as soon as it can be decided."""
        if self._pending_ns is None:
            return
        command = self.arbiter.answer(self._pending_ns, at_deadline=False)
        if command is not None:
            self._pending_ns = None
            self._send(command, latency_s=0.0)  # the clock stands while the answer is awaited

    def _release_due(self) -> None:
        """Real time: send the command of the tick whose phase has come."""
        now_ns = self.get_clock().now().nanoseconds
        due = self._schedule.due(now_ns)
        for stamp_ns in due.skipped:
            if (skipped := self.arbiter.skipped(stamp_ns)) is not None:
                self._executed.publish(to_executed_message(skipped, (now_ns - stamp_ns) * 1e-9))
        if due.current is not None:
            command = self.arbiter.answer(due.current, at_deadline=True)
            if command is not None:
                self._send(command, (self.get_clock().now().nanoseconds - due.current) * 1e-9)
        self._rearm_timer()

    def _rearm_timer(self) -> None:
        """One call for each tick, at its phase, whether the ROS clock is the system's or a simulator's."""
        self._timer.timer_period_ns = self._schedule.until_next(self.get_clock().now().nanoseconds)
        self._timer.reset()

    def _send(self, command: Command, latency_s: float) -> None:
        target = command.target
        names = self._specification.hand_joint_names
        self._arm.publish(
            to_pose_stamped(target.flange_in_base, command.stamp_ns, self.parameters.base_frame)
        )
        self._hand.publish(to_joint_state(names, target.hand, command.stamp_ns))
        self._executed.publish(to_executed_message(command, latency_s))
        self._latency_s = latency_s
        self._report_hold(command)
        if self._start is not None:
            self._start.update()

    def _report_hold(self, command: Command) -> None:
        reason = command.reason if command.missed else ""
        if reason and reason != self._last_reason:
            self.get_logger().warning(f"holding at {command.stamp_ns * 1e-9:.3f} s: {reason}")
            self._diagnostics.publish()
        self._last_reason = reason
        if command.missed and self.arbiter.stop_reason:
            self.get_logger().error(f"stopped: {self.arbiter.stop_reason}")
            self._publish_state()

    def _set_mode(self, request: SetMode.Request, response: SetMode.Response) -> SetMode.Response:
        try:
            epoch = self.arbiter.set_mode(Mode(request.mode), to_nanoseconds(request.epoch_start))
        except ModeRefusedError as error:
            response.message = str(error)
        except ValueError:
            response.message = (
                f"unknown mode {request.mode}; expected 0 (hold), 1 (policy), 2 (teleop), 3 (start)"
            )
        else:
            response.success, response.epoch = True, epoch
            self._publish_state()
            self._answer_pending()
        return response

    def _emergency_stop(self, request: Trigger.Request, response: Trigger.Response) -> Trigger.Response:
        response.success, response.message = True, "stopped; call emergency_reset when the robot is safe"
        try:
            self.arbiter.emergency_stop("service call")
        except LatchError as error:
            response.message = str(error)
            self.get_logger().error(str(error))
        self.get_logger().error("EMERGENCY STOP: robot and simulator stand until emergency_reset is called")
        self._publish_state()
        self._answer_pending()
        return response

    def _emergency_reset(self, request: Trigger.Request, response: Trigger.Response) -> Trigger.Response:
        try:
            self.arbiter.emergency_reset()
        except LatchError as error:
            response.message = str(error)
            return response
        self._publish_state()
        response.success, response.message = True, "released; still disarmed until arbiter/set_mode"
        return response

    def _publish_state(self, waiting_for: str = "") -> None:
        arbiter = self.arbiter
        state = ArbiterState(mode=int(arbiter.mode), epoch=arbiter.epoch, armed=arbiter.armed)
        state.header.stamp = self.get_clock().now().to_msg()
        state.epoch_start = to_time(arbiter.epoch_start_ns)
        state.emergency_stopped = arbiter.emergency_stopped
        state.waiting_for = waiting_for or (arbiter.waiting_for() if arbiter.stop_reason else "")
        self._state.publish(state)
        self._stop_state.publish(Bool(data=arbiter.emergency_stopped))

    def _report_waiting(self) -> None:
        waited_ns = STEADY.now().nanoseconds - self._pending_since_ns
        if self._pending_ns is not None and waited_ns > PATIENCE_NS:
            self._publish_state(self.arbiter.waiting_for() or "observation")

    def status(self) -> DiagnosticStatus:
        """Level, what is wrong, and all counters."""
        arbiter = self.arbiter
        level, text = DiagnosticStatus.OK, f"{arbiter.mode.name.lower()}, epoch {arbiter.epoch}"
        if arbiter.emergency_stopped:
            level, text = DiagnosticStatus.ERROR, "emergency stop"
        elif arbiter.driver_problem:
            level, text = DiagnosticStatus.ERROR, arbiter.driver_problem
        elif arbiter.stop_reason:
            level, text = DiagnosticStatus.ERROR, f"stopped: {arbiter.stop_reason}"
        elif any(self.count_publishers(topic) > 1 for topic in _COMMAND_TOPICS):
            level, text = DiagnosticStatus.ERROR, "another node sends commands too; stop it"
        elif self._last_reason:
            level, text = DiagnosticStatus.WARN, f"holding: {self._last_reason}"
        refused = {f"refused chunks {reason}": count for reason, count in arbiter.refused.items()}
        values = {"armed": arbiter.armed, "latency_s": round(self._latency_s, 4), **arbiter.counts, **refused}
        return diagnostic_status(self, level, text, values)

    def destroy_node(self) -> None:
        """Take the action away, then the node."""
        if self._start is not None:
            self._start.destroy()
        super().destroy_node()


def main() -> None:
    """Run the node."""
    run_node(CommandArbiterNode)


if __name__ == "__main__":
    main()
