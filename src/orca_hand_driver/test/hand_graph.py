"""The hand's node in-process beside a peer that plays the arbiter, on a simulated servo bus."""

import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import rclpy
import yaml
from bus_process import BusProcess
from diagnostic_msgs.msg import DiagnosticArray
from numpy.typing import NDArray
from rclpy.action import ActionClient
from rclpy.context import Context
from rclpy.executors import SingleThreadedExecutor
from rclpy.parameter import Parameter
from sensor_msgs.msg import JointState
from std_msgs.msg import Bool
from std_srvs.srv import SetBool, Trigger

from orca_hand_driver.orca_hand_node import OrcaHandNode
from soft_flow_contract import message_conversion as convert
from soft_flow_contract import topics
from soft_flow_msgs.action import CalibrateHand
from soft_flow_msgs.msg import DriverState

CELL = Path(__file__).parents[3] / "config" / "robots" / "protocol_sim.yaml"
TICK = 0.05
DEADLINE = 20.0  # s for anything to happen


def write_cell(folder: Path, bus: BusProcess, **hand: object) -> Path:
    """A cell's file whose hand is on this bus; its calibration is beside it."""
    cell = yaml.safe_load(CELL.read_text())
    cell["hand"] |= {
        "version": bus.version,
        "model": bus.model,
        "port": str(bus.link),
        "calibration": "hand.yaml",
        **hand,
    }
    path = folder / "cell.yaml"
    path.write_text(yaml.safe_dump(cell))
    return path


class HandGraph:
    """The node, and everything around it."""

    def __init__(self, domain: int, bus: BusProcess, robot_file: Path, **parameters: object) -> None:
        self.bus = bus
        self.context = Context()
        rclpy.init(context=self.context, domain_id=domain)
        values = {"robot_file": str(robot_file), **parameters}
        self.node = OrcaHandNode(
            context=self.context, parameter_overrides=[Parameter(name, value=v) for name, v in values.items()]
        )
        self.peer = rclpy.create_node("peer", context=self.context)
        self.executor = SingleThreadedExecutor(context=self.context)
        self.executor.add_node(self.node)
        self.executor.add_node(self.peer)
        self.states: list[DriverState] = []
        self.joints: list[JointState] = []
        self.diagnostics: list[DiagnosticArray] = []
        subscribe = self.peer.create_subscription
        subscribe(DriverState, topics.HAND_DRIVER_STATE, self.states.append, topics.STATE)
        subscribe(JointState, topics.HAND_JOINT_STATES, self.joints.append, topics.sensor(False))
        subscribe(DiagnosticArray, topics.DIAGNOSTICS, self.diagnostics.append, 10)
        self.targets = self.peer.create_publisher(JointState, topics.HAND_TARGET_JOINT, topics.COMMAND)
        self._stop = self.peer.create_publisher(Bool, topics.EMERGENCY_STOP_STATE, topics.STATE)
        self._clients = {
            name: self.peer.create_client(SetBool if name == topics.HAND_TORQUE else Trigger, name)
            for name in (topics.HAND_RECOVER, topics.HAND_TORQUE, topics.HAND_NEUTRAL, topics.HAND_REBOOT)
        }
        self.calibration = ActionClient(self.peer, CalibrateHand, topics.HAND_CALIBRATE)

    def close(self) -> None:
        if not self.context.ok():
            return
        self.executor.shutdown()
        self.node.destroy_node()
        self.calibration.destroy()
        self.peer.destroy_node()
        rclpy.shutdown(context=self.context)

    def spin(self, seconds: float = 0.005) -> None:
        self.executor.spin_once(timeout_sec=seconds)

    def spin_for(self, seconds: float) -> None:
        end = time.monotonic() + seconds
        while time.monotonic() < end:
            self.spin()

    def until(self, condition: Callable[[], Any], what: str) -> None:
        end = time.monotonic() + DEADLINE
        while not condition():
            assert time.monotonic() < end, f"never happened: {what}; states: {self.history()}"
            self.spin()

    def history(self) -> list[tuple[int, str]]:
        return [(state.state, state.reason) for state in self.states[-5:]]

    # The hand

    @property
    def state(self) -> int:
        return self.states[-1].state if self.states else -1

    @property
    def reason(self) -> str:
        return self.states[-1].reason if self.states else ""

    def until_state(self, state: int, reason: str = "") -> None:
        self.until(lambda: self.state == state and reason in self.reason, f"state {state} '{reason}'")

    def joint_state(self) -> JointState:
        """A joint state that is newer than this call."""
        self.joints.clear()
        self.until(lambda: self.joints, "a joint state")
        return self.joints[-1]

    def measured(self) -> NDArray[np.float64]:
        """(J,) rad, in the order of the bus's joints."""
        return np.array(self.joint_state().position)

    def status(self) -> dict[str, str]:
        """What the diagnostics say now."""
        return {pair.key: pair.value for pair in self.node.status().values}

    # The arbiter

    def press(self, pressed: bool) -> None:
        self._stop.publish(Bool(data=pressed))

    def ready(self) -> NDArray[np.float64]:
        """Release the emergency stop; where the hand is then."""
        self.until_state(DriverState.STOPPED)
        self.press(False)
        self.until_state(DriverState.READY)
        self.until(lambda: self.targets.get_subscription_count(), "the driver takes commands")
        return self.measured()

    def command(self, positions: NDArray[np.float64], names: tuple[str, ...] | None = None) -> None:
        stamp_ns = self.peer.get_clock().now().nanoseconds
        self.targets.publish(convert.to_joint_state(names or self.bus.joint_names, positions, stamp_ns))

    def stream(self, positions: NDArray[np.float64], until: Callable[[], Any], what: str) -> None:
        """Send the same command every tick until something is so."""
        end, due = time.monotonic() + DEADLINE, 0.0
        while not until():
            assert time.monotonic() < end, f"never happened: {what}; states: {self.history()}"
            if time.monotonic() >= due:
                due = time.monotonic() + TICK
                self.command(positions)
            self.spin()

    def call(self, name: str, **request: object) -> tuple[bool, str]:
        """Call a service and wait for its answer."""
        client = self._clients[name]
        self.until(client.service_is_ready, f"service {name}")
        future = client.call_async(client.srv_type.Request(**request))
        self.until(future.done, f"answer of {name}")
        return future.result().success, future.result().message

    def calibrate(self, force: bool = False) -> "CalibrationRun":
        return CalibrationRun(self, force)


class CalibrationRun:
    """A goal of the calibration, from its start to its result."""

    def __init__(self, graph: HandGraph, force: bool) -> None:
        self._graph, self.feedback = graph, []
        graph.until(graph.calibration.server_is_ready, "the action")
        sent = graph.calibration.send_goal_async(
            CalibrateHand.Goal(force=force), lambda message: self.feedback.append(message.feedback)
        )
        graph.until(sent.done, "acceptance of the goal")
        self.goal = sent.result()

    def result(self) -> CalibrateHand.Result:
        future = self.goal.get_result_async()
        self._graph.until(future.done, "result of the calibration")
        return future.result().result
