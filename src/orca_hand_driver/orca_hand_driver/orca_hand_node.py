"""Drives an ORCA hand over orca_core: joint targets in, joint states out."""

import concurrent.futures
import sys
import time
from collections.abc import Callable
from typing import Any

import numpy as np
from diagnostic_msgs.msg import DiagnosticStatus
from rclpy.lifecycle import LifecycleState, TransitionCallbackReturn
from rclpy.task import Future
from sensor_msgs.msg import JointState
from std_msgs.msg import Bool
from std_srvs.srv import SetBool, Trigger

from orca_hand_driver.calibrate_action_node import CalibrateAction
from orca_hand_driver.command_guard import CommandRefused, JointCommand
from orca_hand_driver.hand_bus import HandBus, HandReading
from orca_hand_driver.hand_endpoints_node import HandEndpointsNode
from orca_hand_driver.hand_files import prepare_hand_files
from orca_hand_driver.hand_follower import FollowerSettings, HandFollower, HandRefused
from orca_hand_driver.hand_thread import HandThread, ThreadEvents, ThreadSettings
from soft_flow_contract import message_conversion as convert
from soft_flow_contract.driver_machine import DriverState as State
from soft_flow_contract.errors import ContractError
from soft_flow_contract.graph_node import STEADY, run_node
from soft_flow_contract.robot_cell import RobotCell

SUCCESS, FAILURE = TransitionCallbackReturn.SUCCESS, TransitionCallbackReturn.FAILURE
_WATCH_PERIOD = 0.02  # s between looks at what the bus's thread may be too busy to notice
_ACTIVATION_PATIENCE = 10.0  # s for the motors to be switched on
_SWITCH_INTERVAL = 5e-4  # s after which the interpreter lets the other thread go on


class OrcaHandNode(HandEndpointsNode):
    """Thin shell over `HandFollower` (what is done) and `HandThread` (which does it)."""

    def __init__(self, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.follower: HandFollower | None = None
        self.hand: HandThread | None = None
        self._pressed: bool | None = None
        self._error = ""
        self._to_neutral: list[Future] = []
        self._news = self.create_guard_condition(self.tell_state)
        self.listen(self._on_command, self._on_emergency_stop)
        self.serve(self._on_recover, self._on_torque, self._on_neutral, self._on_reboot)
        self._calibration = CalibrateAction(self, lambda: self.hand)
        self.create_timer(_WATCH_PERIOD, self._watch, clock=STEADY)
        if self.parameters.autostart:
            self._started_at = time.monotonic()
            self._autostart = self.create_timer(0.05, self._start, clock=STEADY)

    # Lifecycle. rclpy turns an exception in a transition into ERROR without a log line: log and return.

    def _start(self) -> None:
        try:
            self._bring_up()
        except Exception:
            if self.context.ok():
                raise
            # It was told to end in the middle of a transition, which could not be published any more.

    def _bring_up(self) -> None:
        """Configure, then activate as soon as the hand answers; exit if it never does."""
        if self.hand is None and self.trigger_configure() != SUCCESS:
            raise SystemExit(1)
        assert self.hand is not None
        waited = time.monotonic() - self._started_at
        if self.hand.connected:
            self._autostart.cancel()
            if self.trigger_activate() != SUCCESS:
                raise SystemExit(1)
        elif waited > self.parameters.connect_timeout:
            self.get_logger().fatal(f"gives up after {waited:.0f} s: {self.hand.problem}")
            raise SystemExit(1)

    def on_configure(self, state: LifecycleState) -> TransitionCallbackReturn:
        """Read the cell, begin to connect."""
        p = self.parameters
        try:
            cell = RobotCell.load(p.robot_file)
            bus = HandBus(prepare_hand_files(cell, p.robot_file))
        except ContractError as error:
            self._fail_transition(str(error))
            return FAILURE
        self.model = bus.model
        settings = FollowerSettings(p.command_watchdog, p.time_scale, p.silence_limit, p.neutral_speed)
        self.follower = HandFollower(bus.model, cell.hand, settings)
        if self._pressed is not None:
            self.follower.emergency_stop(self._pressed)
        joints = tuple(name.strip() for name in p.calibration_joints.split(",") if name.strip())
        if unknown := sorted(set(joints) - set(bus.model.joint_names)):
            self._fail_transition(f"calibration_joints: the hand has no joints {', '.join(unknown)}")
            return FAILURE
        releases = cell.hand.torque_at_exit == "release"
        thread_settings = ThreadSettings(p.rate, p.temperature_period, releases, joints)
        self.hand = HandThread(bus, self.follower, thread_settings, self._thread_events())
        self.hand.start()
        return SUCCESS

    def _thread_events(self) -> ThreadEvents:
        clock = self.get_clock()
        return ThreadEvents(
            lambda: clock.now().nanoseconds, self._publish_reading, self._news.trigger, self._log
        )

    def on_activate(self, state: LifecycleState) -> TransitionCallbackReturn:
        """Switch torque on, hold, and follow commands from now on."""
        if self.hand is None:
            self._fail_transition("not configured")
            return FAILURE
        # The one place that waits for the bus: a transition has to say how it ended.
        try:
            problem = self.hand.ask(self.hand.operations.activate).result(_ACTIVATION_PATIENCE)
        except concurrent.futures.TimeoutError:
            problem = f"the hand could not be switched on within {_ACTIVATION_PATIENCE:.0f} s"
            self._close_hand()  # nor may it be some time later
        if problem:
            self._fail_transition(problem)
            return FAILURE
        self.readiness.active = True
        self.tell_state()
        return super().on_activate(state)

    def on_deactivate(self, state: LifecycleState) -> TransitionCallbackReturn:
        """Hold; commands are refused."""
        assert self.follower is not None
        self.readiness.active = False
        self.follower.deactivate("not active")
        self.tell_state()
        return super().on_deactivate(state)

    def on_cleanup(self, state: LifecycleState) -> TransitionCallbackReturn:
        """Disconnect."""
        self._close_hand()
        return SUCCESS

    def on_shutdown(self, state: LifecycleState) -> TransitionCallbackReturn:
        """Disconnect."""
        self._close_hand()
        return SUCCESS

    def destroy_node(self) -> None:
        """Disconnect, with torque off if the cell says so, then as usual."""
        self._close_hand()
        self._calibration.destroy()
        super().destroy_node()

    def _close_hand(self) -> None:
        self.readiness.active = False
        if self.hand is not None and not self.hand.close():
            self.get_logger().error("the bus does not answer: torque may still be on")
        self.hand = self.follower = None

    def _log(self, text: str, is_problem: bool) -> None:
        if is_problem:
            self.get_logger().warning(text)
        else:
            self.get_logger().info(text)

    def _fail_transition(self, error: str) -> None:
        self._error = error
        self.get_logger().error(error)

    # Commands

    def _on_command(self, message: JointState) -> None:
        if self.follower is None:
            return
        if problem := self.publisher_problem():
            self.follower.fail(problem)
        stamp_ns = convert.to_nanoseconds(message.header.stamp)
        try:
            self.follower.command(JointCommand(message.name, message.position, stamp_ns), time.monotonic())
        except CommandRefused as refusal:
            self.get_logger().warning(str(refusal), throttle_duration_sec=1.0)

    def _on_emergency_stop(self, message: Bool) -> None:
        self._pressed = message.data
        if self.follower is not None:
            self.follower.emergency_stop(message.data)
            self.tell_state()

    async def _on_recover(self, request: Trigger.Request, response: Trigger.Response) -> Trigger.Response:
        if problem := self.publisher_problem():
            response.message = problem
            return response
        return await self._ask(response, lambda hand: hand.operations.recover, "recover")

    async def _on_torque(self, request: SetBool.Request, response: SetBool.Response) -> SetBool.Response:
        def operation(hand: HandThread) -> Callable[[], None]:
            return hand.operations.torque_on if request.data else hand.operations.torque_off

        return await self._ask(response, operation, f"torque {'on' if request.data else 'off'}")

    async def _on_reboot(self, request: Trigger.Request, response: Trigger.Response) -> Trigger.Response:
        return await self._ask(response, lambda hand: hand.operations.reboot, "reboot")

    async def _on_neutral(self, request: Trigger.Request, response: Trigger.Response) -> Trigger.Response:
        if self.follower is None:
            response.message = "the driver is not configured"
            return response
        try:
            self.follower.go_to_neutral(time.monotonic())
        except HandRefused as refusal:
            response.message = str(refusal)
            return response
        there: Future = Future(executor=self.executor)
        self._to_neutral.append(there)
        response.message = await there
        response.success = not response.message
        return response

    async def _ask(
        self, response: Any, operation: Callable[[HandThread], Callable[[], None]], what: str
    ) -> Any:
        """Let the bus's thread do something; nothing waits for it but this answer."""
        if self.hand is None:
            response.message = "the driver is not configured"
            return response
        done: Future = Future(executor=self.executor)
        self.hand.ask(operation(self.hand)).add_done_callback(lambda answer: done.set_result(answer.result()))
        response.message = await done
        response.success = not response.message
        self.get_logger().info(f"{what}: {response.message or 'done'}")
        self.tell_state()
        return response

    def _watch(self) -> None:
        if self.follower is None or self.hand is None:
            return
        self.follower.watch(time.monotonic())
        self._calibration.update()
        if self._to_neutral and (end := self.follower.neutral_end()) is not None:
            waiting, self._to_neutral = self._to_neutral, []
            for there in waiting:
                there.set_result(end)
        self.tell_state()
        if self.hand.crash:
            raise SystemExit(1)

    # State

    def _publish_reading(self, stamp_ns: int, reading: HandReading) -> None:
        """Called by the bus's thread with every answer of all motors, and never with an old one."""
        if self.readiness.active and reading.position is not None and self.context.ok():
            self.joint_states.publish(
                convert.to_joint_state(
                    self.model.joint_names, reading.position, stamp_ns, reading.velocity, reading.torque
                )
            )

    def state_and_reason(self) -> tuple[State, str]:
        """The driver's state, and why it does not follow commands."""
        if self.follower is None or self.hand is None:
            return State.INACTIVE, self._error or "not configured"
        report = self.follower.report()
        inactive = report.state is State.INACTIVE
        return report.state, self.hand.problem if inactive and self.hand.problem else report.reason

    def values(self) -> dict[str, Any]:
        """What the diagnostics show beside the state."""
        if self.follower is None or self.hand is None:
            return {}
        report, hand, timing = self.follower.report(), self.hand, self.hand.timing.report()
        values: dict[str, Any] = {
            "accepted_commands": report.accepted,
            "refused_commands": report.refused,
            "clamped_commands": report.clamped,
            "last_refusal": report.last_refusal,
            "connection": "lost" if hand.problem else "ok",
            "lost_connections": hand.losses,
            "failed_reads": hand.failed_reads,
            "rate_hz": f"{timing.rate:.1f}",
            "cycle_p50_ms": f"{1e3 * timing.median:.3f}",
            "cycle_p99_ms": f"{1e3 * timing.p99:.3f}",
            "motor_faults": "; ".join(f"{j}: {f}" for j, f in hand.operations.motor_faults.items()),
        }
        if hand.temperatures is not None:
            values["temperature_max"] = f"{hand.temperatures.max():.0f}"
            values["temperatures"] = self._by_joint(hand.temperatures)
        if (reading := hand.reading) is not None:
            values["currents_ma"] = self._by_joint(reading.current)
        return values

    def _by_joint(self, numbers: np.ndarray) -> str:
        return " ".join(f"{n}={x:.0f}" for n, x in zip(self.model.joint_names, numbers, strict=True))

    def status(self) -> DiagnosticStatus:
        """Error in a fault, warning while commands are not followed for another reason."""
        return self.driver_status(*self.state_and_reason(), self.values())


def main() -> None:
    """Run the node."""
    # The bus's thread shares the interpreter with the executor and should not wait for it for long.
    sys.setswitchinterval(_SWITCH_INTERVAL)
    run_node(OrcaHandNode)


if __name__ == "__main__":
    main()
