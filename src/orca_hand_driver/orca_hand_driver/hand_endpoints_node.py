"""Parameters, topics, services and state of the hand's node, which adds what it does with them."""

from collections.abc import Callable
from typing import Any

from diagnostic_msgs.msg import DiagnosticStatus
from rclpy.callback_groups import ReentrantCallbackGroup
from rclpy.lifecycle import LifecycleNode
from sensor_msgs.msg import JointState
from std_msgs.msg import Bool
from std_srvs.srv import SetBool, Trigger

from orca_hand_driver.orca_hand_parameters import OrcaHandParameters
from soft_flow_contract import topics
from soft_flow_contract.driver_machine import DriverState as State
from soft_flow_contract.graph_node import (
    STEADY,
    Diagnostics,
    Readiness,
    declare_parameters,
    diagnostic_status,
)
from soft_flow_msgs.msg import DriverState

_LEVELS = {State.READY: DiagnosticStatus.OK, State.FAULT: DiagnosticStatus.ERROR}


class HandReadiness(Readiness):
    """Ready when matched and active."""

    active = False

    def missing(self) -> list[str]:
        """As `Readiness.missing`, and the activation of the node."""
        return [*super().missing(), *([] if self.active else ["activation"])]


class HandEndpointsNode(LifecycleNode):
    """What the hand's node is connected to."""

    def __init__(self, **kwargs: Any) -> None:
        super().__init__("orca_hand_node", **kwargs)
        self.parameters = declare_parameters(self, OrcaHandParameters)
        self.joint_states = self.create_publisher(JointState, topics.HAND_JOINT_STATES, topics.sensor(False))
        self._driver_state = self.create_publisher(DriverState, topics.HAND_DRIVER_STATE, topics.STATE)
        self._told: tuple[State, str] | None = None
        self._diagnostics = Diagnostics(self, self.status)
        self.create_timer(1.0, lambda: self.tell_state(again=True), clock=STEADY)

    def listen(
        self, on_command: Callable[[JointState], None], on_emergency_stop: Callable[[Bool], None]
    ) -> None:
        """Take commands and the state of the emergency stop."""
        self._commands = self.create_subscription(
            JointState, topics.HAND_TARGET_JOINT, on_command, topics.COMMAND
        )
        stop = self.create_subscription(Bool, topics.EMERGENCY_STOP_STATE, on_emergency_stop, topics.STATE)
        self.readiness = HandReadiness(self, [self.joint_states], [self._commands, stop])

    def serve(
        self,
        on_recover: Callable[..., Any],
        on_torque: Callable[..., Any],
        on_neutral: Callable[..., Any],
        on_reboot: Callable[..., Any],
    ) -> None:
        """Offer the services, in a group of their own: they wait for the hand while all else goes on."""
        group = ReentrantCallbackGroup()
        self.create_service(Trigger, topics.HAND_RECOVER, on_recover, callback_group=group)
        self.create_service(SetBool, topics.HAND_TORQUE, on_torque, callback_group=group)
        self.create_service(Trigger, topics.HAND_NEUTRAL, on_neutral, callback_group=group)
        self.create_service(Trigger, topics.HAND_REBOOT, on_reboot, callback_group=group)

    def publisher_problem(self) -> str:
        """Who else commands the hand; empty if at most one node does."""
        if self._commands.get_publisher_count() <= 1:
            return ""
        infos = self.get_publishers_info_by_topic(self._commands.topic_name)
        names = sorted(f"{info.node_namespace.rstrip('/')}/{info.node_name}" for info in infos)
        return (
            f"{len(names)} publishers on {self._commands.topic_name}: {', '.join(names)}; leave one of them, "
            "then call hand/recover"
        )

    def state_and_reason(self) -> tuple[State, str]:
        """The driver's state, and why it does not follow commands."""
        raise NotImplementedError

    def status(self) -> DiagnosticStatus:
        """What the diagnostics say."""
        raise NotImplementedError

    def driver_status(self, state: State, reason: str, values: dict[str, Any]) -> DiagnosticStatus:
        """Error in a fault, warning while commands are not followed for another reason."""
        text = state.name.lower() + (f": {reason}" if reason else "")
        return diagnostic_status(self, _LEVELS.get(state, DiagnosticStatus.WARN), text, values)

    def tell_state(self, again: bool = False) -> None:
        """Publish the state if it is news, or `again`."""
        told = self.state_and_reason()
        if (told == self._told and not again) or not self.context.ok():
            return
        is_new, self._told = told != self._told, told
        message = DriverState(state=int(told[0]), reason=told[1])
        message.header.stamp = self.get_clock().now().to_msg()
        self._driver_state.publish(message)
        if is_new:
            text = f"{told[0].name}{': ' if told[1] else ''}{told[1]}"
            log = self.get_logger()
            if told[0] is State.FAULT:
                log.error(text)
            else:
                log.info(text)
            self._diagnostics.publish()
