"""What the drivers of arm and hand share as nodes: what they say of themselves, how they begin and end."""

import dataclasses
import time
from collections.abc import Callable
from typing import Any, Protocol

from diagnostic_msgs.msg import DiagnosticStatus
from rclpy.lifecycle import LifecycleNode, LifecycleState, TransitionCallbackReturn
from rclpy.node import Node
from rclpy.publisher import Publisher
from rclpy.subscription import Subscription
from rclpy.task import Future
from std_msgs.msg import Bool

from soft_flow_contract import topics
from soft_flow_contract.driver_machine import DriverReport
from soft_flow_contract.driver_machine import DriverState as State
from soft_flow_contract.graph_node import (
    STEADY,
    Diagnostics,
    Readiness,
    declare_parameters,
    diagnostic_status,
)
from soft_flow_msgs.msg import DriverState

SUCCESS, FAILURE = TransitionCallbackReturn.SUCCESS, TransitionCallbackReturn.FAILURE
WATCH_PERIOD = 0.02  # s between looks at what a hardware's thread may be too busy to notice
_LEVELS = {State.READY: DiagnosticStatus.OK, State.FAULT: DiagnosticStatus.ERROR}


def other_publishers(node: Node, topic: str) -> str:
    """Who publishes on a topic of which this driver may hear one sender only; empty if at most one does."""
    if node.count_publishers(topic) <= 1:
        return ""
    infos = node.get_publishers_info_by_topic(topic)
    names = sorted(f"{info.node_namespace.rstrip('/')}/{info.node_name}" for info in infos)
    twins = " (one that died is counted for some 20 s)" if len(set(names)) < len(names) else ""
    return f"{len(names)} publishers on {topic}: {', '.join(names)}; leave one of them, then recover{twins}"


class DriverVoice:
    """Says what a driver does: on its state's topic, in the log and on /diagnostics."""

    def __init__(
        self,
        node: Node,
        topic: str,
        report: Callable[[], DriverReport],
        values: Callable[[], dict[str, Any]],
    ) -> None:
        """Say what `report` gives, once a second and on request; `values` are for the diagnostics alone."""
        self._node, self._report, self._values = node, report, values
        self._publisher = node.create_publisher(DriverState, topic, topics.STATE)
        self._told: tuple[State, str] | None = None
        self._diagnostics = Diagnostics(node, self.status)
        node.create_timer(1.0, lambda: self.tell(again=True), clock=STEADY)

    def tell(self, again: bool = False) -> None:
        """Publish the state if it is news, or `again`."""
        report = self._report()
        told = report.state, report.reason
        if (told == self._told and not again) or not self._node.context.ok():
            return
        is_new, self._told = told != self._told, told
        message = DriverState(state=int(report.state), reason=report.reason)
        message.header.stamp = self._node.get_clock().now().to_msg()
        self._publisher.publish(message)
        if is_new:
            text = f"{report.state.name}{': ' if report.reason else ''}{report.reason}"
            log = self._node.get_logger()
            if report.state is State.FAULT:  # two lines: rclpy keeps one severity for each
                log.error(text)
            else:
                log.info(text)
            self._diagnostics.publish()

    def status(self) -> DiagnosticStatus:
        """Error in a fault, warning while commands are not followed for another reason."""
        report = self._report()
        values = {
            "accepted_commands": report.accepted,
            "refused_commands": report.refused,
            "clamped_commands": report.clamped,
            "last_refusal": report.last_refusal,
            **self._values(),
        }
        text = report.state.name.lower() + (f": {report.reason}" if report.reason else "")
        return diagnostic_status(self._node, _LEVELS.get(report.state, DiagnosticStatus.WARN), text, values)


class Follower(Protocol):
    """What decides about commands."""

    def deactivate(self) -> None:
        """Refuse commands, come to rest."""

    def emergency_stop(self, pressed: bool) -> None:
        """Take the state of the emergency stop."""

    def watch(self, now: float) -> None:
        """Look for commands that stay out (steady clock, s)."""

    def report(self) -> DriverReport:
        """What became of the commands."""


class Hardware(Protocol):
    """The thread that owns the hardware."""

    @property
    def connected(self) -> bool:
        """Whether it answers."""

    @property
    def problem(self) -> str:
        """Why it does not; empty if it does."""

    @property
    def hopeless(self) -> bool:
        """Whether trying again is of no use."""

    @property
    def crash(self) -> str:
        """What ended the thread against all expectation; empty while it is well."""

    def close(self) -> bool:
        """Let the hardware come to rest, and disconnect; whether that was done."""


class ActiveReadiness(Readiness):
    """Ready when matched and active."""

    active = False

    def missing(self) -> list[str]:
        """As `Readiness.missing`, and the activation of the node."""
        return [*super().missing(), *([] if self.active else ["activation"])]


class DriverNode(LifecycleNode):
    """A driver whose hardware belongs to a thread of its own.

    A subclass makes `follower` and `hardware` in `on_configure`, calls `activated` in `on_activate`, and
    `attend` once in its constructor. With the parameter `autostart` it configures itself, and activates as
    soon as the hardware answers; it exits with 1 if that does not happen within `connect_timeout`. The third
    parameter that every driver has is `time_scale`: wall seconds for one of the robot's.
    """

    def __init__(self, name: str, parameters: type[Any], state_topic: str, **kwargs: Any) -> None:
        """Declare `parameters`; say what the driver does on `state_topic`."""
        super().__init__(name, **kwargs)
        self.parameters = declare_parameters(self, parameters)
        self.follower: Any = None  # a Follower, once configured
        self.hardware: Any = None  # a Hardware
        self.pressed: bool | None = None
        self._error = ""
        self.voice = DriverVoice(self, state_topic, self.report, self.values)
        self.news = self.create_guard_condition(self.voice.tell)  # for the hardware's thread

    def attend(self, publishers: list[Publisher], commands: Subscription) -> None:
        """Hear the emergency stop, look after what happens, and begin by itself if it shall."""
        stop = self.create_subscription(
            Bool, topics.EMERGENCY_STOP_STATE, self._on_emergency_stop, topics.STATE
        )
        self._commands = commands
        self.readiness = ActiveReadiness(self, publishers, [commands, stop])
        self.create_timer(WATCH_PERIOD * self.parameters.time_scale, self._watch, clock=STEADY)
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
        if self.hardware is None and self.trigger_configure() != SUCCESS:
            raise SystemExit(1)
        waited = time.monotonic() - self._started_at
        if self.hardware.connected:
            self._autostart.cancel()
            if self.trigger_activate() != SUCCESS:
                raise SystemExit(1)
        elif self.hardware.hopeless or waited > self.parameters.connect_timeout:
            self.get_logger().fatal(f"gives up after {waited:.0f} s: {self.hardware.problem}")
            raise SystemExit(1)

    def publish_sample(self, publisher: Publisher, message: Any) -> None:
        """Publish from the hardware's thread, which brings the robot to rest when the middleware is gone."""
        try:
            publisher.publish(message)
        except RuntimeError:
            if self.context.ok():
                raise

    def refuse(self, error: str) -> TransitionCallbackReturn:
        """What a transition returns that cannot be made, after saying why."""
        self._error = error
        self.get_logger().error(error)
        return FAILURE

    def activated(self, state: LifecycleState) -> TransitionCallbackReturn:
        """Commands are followed from now on."""
        self.readiness.active = True
        self.voice.tell()
        return super().on_activate(state)

    def on_deactivate(self, state: LifecycleState) -> TransitionCallbackReturn:
        """Come to rest; commands are refused."""
        self.readiness.active = False
        self.follower.deactivate()
        self.voice.tell()
        return super().on_deactivate(state)

    def on_cleanup(self, state: LifecycleState) -> TransitionCallbackReturn:
        """Come to rest and disconnect."""
        self.close_hardware()
        return SUCCESS

    def on_shutdown(self, state: LifecycleState) -> TransitionCallbackReturn:
        """Come to rest and disconnect."""
        self.close_hardware()
        return SUCCESS

    def destroy_node(self) -> None:
        """Come to rest and disconnect, then as usual."""
        self.close_hardware()
        super().destroy_node()

    def close_hardware(self) -> None:
        """Come to rest and disconnect."""
        self.readiness.active = False
        if self.hardware is not None and not self.hardware.close():
            self.get_logger().error("the hardware does not answer: it may not be at rest")
        self.hardware = self.follower = None

    # What happens

    def log(self, text: str, is_problem: bool) -> None:
        """A line of the hardware's thread."""
        if is_problem:
            self.get_logger().warning(text)
        else:
            self.get_logger().info(text)

    def require_one_publisher(self) -> str:
        """Fail if somebody else commands, too; who, or empty."""
        problem = other_publishers(self, self._commands.topic_name)
        if problem and self.follower is not None:
            self.follower.fail(problem)
        return problem

    def _on_emergency_stop(self, message: Bool) -> None:
        self.pressed = message.data
        if self.follower is not None:
            self.follower.emergency_stop(message.data)
            self.voice.tell()

    def _watch(self) -> None:
        if self.follower is None or self.hardware is None:
            return
        self.require_one_publisher()
        self.follower.watch(time.monotonic())
        self.on_watch()
        self.voice.tell()
        if self.hardware.crash:
            raise SystemExit(1)

    def on_watch(self) -> None:
        """What a subclass looks after, too."""

    async def answer(self, response: Any, request: Any, what: str) -> Any:
        """Answer a service with what the hardware's thread makes of a request (a Future of why not)."""
        done: Future = Future(executor=self.executor)
        request.add_done_callback(lambda answer: done.set_result(answer.result()))
        response.message = await done
        response.success = not response.message
        self.get_logger().info(f"{what}: {response.message or 'done'}")
        self.voice.tell()
        return response

    # What it says

    def report(self) -> DriverReport:
        """State and counts; while inactive, why."""
        if self.follower is None or self.hardware is None:
            return DriverReport(State.INACTIVE, self._error or "not configured")
        report = self.follower.report()
        if report.state is State.INACTIVE and self.hardware.problem:
            return dataclasses.replace(report, reason=self.hardware.problem)
        return report

    def status(self) -> DiagnosticStatus:
        """See DriverVoice."""
        return self.voice.status()

    def values(self) -> dict[str, Any]:
        """What the diagnostics show beside the state."""
        return {}
