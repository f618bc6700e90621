"""Drives an ORCA hand over orca_core: joint targets in, joint states out."""

import concurrent.futures
import sys
import time
from collections.abc import Callable
from typing import Any

import numpy as np
from rclpy.callback_groups import ReentrantCallbackGroup
from rclpy.lifecycle import LifecycleState, TransitionCallbackReturn
from rclpy.task import Future
from sensor_msgs.msg import JointState
from std_srvs.srv import SetBool, Trigger

from orca_hand_driver.calibrate_action_node import CalibrateAction
from orca_hand_driver.command_guard import CommandRefused, JointCommand
from orca_hand_driver.hand_bus import HandBus, HandReading
from orca_hand_driver.hand_files import prepare_hand_files
from orca_hand_driver.hand_follower import FollowerSettings, HandFollower, HandRefused
from orca_hand_driver.hand_thread import HandThread, ThreadEvents, ThreadSettings
from orca_hand_driver.orca_hand_parameters import OrcaHandParameters
from soft_flow_contract import message_conversion as convert
from soft_flow_contract import topics
from soft_flow_contract.driver_node import SUCCESS, DriverNode
from soft_flow_contract.errors import ContractError
from soft_flow_contract.graph_node import run_node
from soft_flow_contract.robot_cell import RobotCell

_ACTIVATION_PATIENCE = 10.0  # s for the motors to be switched on
_SWITCH_INTERVAL = 5e-4  # s after which the interpreter lets the other thread go on


class OrcaHandNode(DriverNode):
    """Thin shell over `HandFollower` (what is done) and `HandThread` (which does it)."""

    def __init__(self, **kwargs: Any) -> None:
        super().__init__("orca_hand_node", OrcaHandParameters, topics.HAND_DRIVER_STATE, **kwargs)
        self._to_neutral: list[Future] = []
        self.joint_states = self.create_publisher(JointState, topics.HAND_JOINT_STATES, topics.sensor(False))
        # In a group of their own: they wait for the hand while all else goes on.
        group = ReentrantCallbackGroup()
        for kind, name, serve in (
            (Trigger, topics.HAND_RECOVER, self._on_recover),
            (SetBool, topics.HAND_TORQUE, self._on_torque),
            (Trigger, topics.HAND_NEUTRAL, self._on_neutral),
            (Trigger, topics.HAND_REBOOT, self._on_reboot),
        ):
            self.create_service(kind, name, serve, callback_group=group)
        self._calibration = CalibrateAction(self, lambda: self.hand)
        commands = self.create_subscription(
            JointState, topics.HAND_TARGET_JOINT, self._on_command, topics.COMMAND
        )
        self.attend([self.joint_states], commands)

    @property
    def hand(self) -> HandThread | None:
        """The thread that owns the bus, once configured."""
        return self.hardware

    def on_configure(self, state: LifecycleState) -> TransitionCallbackReturn:
        """Read the cell, begin to connect."""
        p = self.parameters
        try:
            cell = RobotCell.load(p.robot_file)
            bus = HandBus(prepare_hand_files(cell, p.robot_file))
        except ContractError as error:
            return self.refuse(str(error))
        self.model = bus.model
        settings = FollowerSettings(p.command_watchdog, p.time_scale, p.silence_limit, p.neutral_speed)
        self.follower = HandFollower(bus.model, cell.hand, settings)
        if self.pressed is not None:
            self.follower.emergency_stop(self.pressed)
        joints = tuple(name.strip() for name in p.calibration_joints.split(",") if name.strip())
        if unknown := sorted(set(joints) - set(bus.model.joint_names)):
            return self.refuse(f"calibration_joints: the hand has no joints {', '.join(unknown)}")
        releases = cell.hand.torque_at_exit == "release"
        thread_settings = ThreadSettings(p.rate / p.time_scale, p.temperature_period, releases, joints)
        self.hardware = HandThread(bus, self.follower, thread_settings, self._thread_events())
        self.hardware.start()
        return SUCCESS

    def _thread_events(self) -> ThreadEvents:
        clock = self.get_clock()
        return ThreadEvents(
            lambda: clock.now().nanoseconds, self._publish_reading, self.news.trigger, self.log
        )

    def on_activate(self, state: LifecycleState) -> TransitionCallbackReturn:
        """Switch torque on, hold, and follow commands from now on."""
        if self.hand is None:
            return self.refuse("not configured")
        # The one place that waits for the bus: a transition has to say how it ended.
        try:
            problem = self.hand.ask(self.hand.operations.activate).result(_ACTIVATION_PATIENCE)
        except concurrent.futures.TimeoutError:
            problem = f"the hand could not be switched on within {_ACTIVATION_PATIENCE:.0f} s"
            self.close_hardware()  # nor may it be some time later
        return self.refuse(problem) if problem else self.activated(state)

    def destroy_node(self) -> None:
        """Disconnect, with torque off if the cell says so, then as usual."""
        self.close_hardware()
        self._calibration.destroy()
        super().destroy_node()

    # Commands

    def _on_command(self, message: JointState) -> None:
        if self.follower is None:
            return
        self.require_one_publisher()
        stamp_ns = convert.to_nanoseconds(message.header.stamp)
        try:
            self.follower.command(JointCommand(message.name, message.position, stamp_ns), time.monotonic())
        except CommandRefused as refusal:
            self.get_logger().warning(str(refusal), throttle_duration_sec=1.0)

    async def _on_recover(self, request: Trigger.Request, response: Trigger.Response) -> Trigger.Response:
        if problem := self.require_one_publisher():
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
        return await self.answer(response, self.hand.ask(operation(self.hand)), what)

    def on_watch(self) -> None:
        """Finish a calibration, and the way to neutral."""
        self._calibration.update()
        if self._to_neutral and (end := self.follower.neutral_end()) is not None:
            waiting, self._to_neutral = self._to_neutral, []
            for there in waiting:
                there.set_result(end)

    # State

    def _publish_reading(self, stamp_ns: int, reading: HandReading) -> None:
        """Called by the bus's thread with every answer of all motors, and never with an old one."""
        if self.readiness.active and reading.position is not None:
            joints = convert.to_joint_state(
                self.model.joint_names, reading.position, stamp_ns, reading.velocity, reading.torque
            )
            self.publish_sample(self.joint_states, joints)

    def values(self) -> dict[str, Any]:
        """What the diagnostics show beside the state."""
        if self.follower is None or self.hand is None:
            return {}
        hand, timing = self.hand, self.hand.timing.report()
        values: dict[str, Any] = {
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


def main() -> None:
    """Run the node."""
    # The bus's thread shares the interpreter with the executor and should not wait for it for long.
    sys.setswitchinterval(_SWITCH_INTERVAL)
    run_node(OrcaHandNode)


if __name__ == "__main__":
    main()
