"""The bridge in-process beside a peer that plays the arbiter, on the simulated arm's server."""

import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import rclpy
import yaml
from geometry_msgs.msg import PoseStamped
from rclpy.context import Context
from rclpy.executors import SingleThreadedExecutor
from rclpy.parameter import Parameter
from sensor_msgs.msg import JointState
from std_msgs.msg import Bool
from std_srvs.srv import Trigger

from soft_flow_contract import message_conversion as convert
from soft_flow_contract import topics
from soft_flow_contract.pose import Pose
from soft_flow_franka_bringup.fci_bridge_node import FciBridgeNode
from soft_flow_msgs.msg import DriverState

CELL = Path(__file__).parents[3] / "config" / "robots" / "protocol_sim.yaml"
TICK = 0.05
DEADLINE = 30.0  # s for anything to happen


def write_cell(folder: Path, address: str, **arm: object) -> Path:
    """A cell's file whose arm is at this address."""
    cell = yaml.safe_load(CELL.read_text())
    cell["arm"] |= {"address": address, **arm}
    path = folder / "cell.yaml"
    path.write_text(yaml.safe_dump(cell))
    return path


class BridgeGraph:
    """The node, and everything around it."""

    def __init__(self, domain: int, robot_file: Path, **parameters: object) -> None:
        self.context = Context()
        rclpy.init(context=self.context, domain_id=domain)
        values = {"robot_file": str(robot_file), **parameters}
        self.node = FciBridgeNode(
            context=self.context, parameter_overrides=[Parameter(name, value=v) for name, v in values.items()]
        )
        self.peer = rclpy.create_node("peer", context=self.context)
        self.executor = SingleThreadedExecutor(context=self.context)
        self.executor.add_node(self.node)
        self.executor.add_node(self.peer)
        self.states: list[DriverState] = []
        self.joints: list[JointState] = []
        self.poses: list[PoseStamped] = []
        subscribe = self.peer.create_subscription
        subscribe(DriverState, topics.ARM_DRIVER_STATE, self.states.append, topics.STATE)
        subscribe(JointState, topics.ARM_JOINT_STATES, self.joints.append, topics.sensor(False))
        subscribe(PoseStamped, topics.ARM_CURRENT_POSE, self.poses.append, topics.sensor(False))
        self.targets = self.peer.create_publisher(PoseStamped, topics.ARM_TARGET_POSE, topics.COMMAND)
        self._stop = self.peer.create_publisher(Bool, topics.EMERGENCY_STOP_STATE, topics.STATE)
        self._recover = self.peer.create_client(Trigger, topics.ARM_RECOVER)

    def close(self) -> None:
        self.executor.shutdown()
        self.node.destroy_node()
        self.peer.destroy_node()
        rclpy.shutdown(context=self.context)

    def spin(self, seconds: float = 0.002) -> None:
        self.executor.spin_once(timeout_sec=seconds)

    def until(self, condition: Callable[[], bool], what: str) -> None:
        end = time.monotonic() + DEADLINE
        while not condition():
            assert time.monotonic() < end, f"never happened: {what}; states: {self.history()}"
            self.spin()

    def history(self) -> list[tuple[int, str]]:
        return [(state.state, state.reason) for state in self.states[-5:]]

    # The arm

    @property
    def state(self) -> int:
        return self.states[-1].state if self.states else -1

    @property
    def reason(self) -> str:
        return self.states[-1].reason if self.states else ""

    def until_state(self, state: int) -> None:
        self.until(lambda: self.state == state, f"driver state {state}")

    def pose(self) -> Pose:
        """The newest flange pose."""
        count = len(self.poses)
        self.until(lambda: len(self.poses) > count, "a new flange pose")
        return convert.to_pose(self.poses[-1].pose)

    def until_at_rest(self, speed: float = 0.01) -> None:
        """Until no joint has been faster than this (rad/s) for 20 states."""
        self.joints.clear()
        self.until(
            lambda: (
                len(self.joints) >= 20
                and max(float(np.abs(j.velocity).max()) for j in self.joints[-20:]) < speed
            ),
            "the arm at rest",
        )

    # The arbiter

    def press(self, pressed: bool) -> None:
        self._stop.publish(Bool(data=pressed))

    def ready(self) -> Pose:
        """Release the emergency stop; where the flange is then."""
        self.until(lambda: self.state in (DriverState.STOPPED, DriverState.READY), "activation")
        self.press(False)
        self.until_state(DriverState.READY)
        self.until(lambda: self.targets.get_subscription_count() == 1, "a subscriber of targets")
        return self.pose()

    def command(self, pose: Pose, frame: str = "base") -> None:
        self.targets.publish(convert.to_pose_stamped(pose, self.peer.get_clock().now().nanoseconds, frame))

    def drive(self, path: Callable[[float], Pose], seconds: float) -> list[tuple[float, Pose]]:
        """Send a path of the flange by control ticks; returns what was sent, with the time of its sending."""
        start, sent = time.monotonic(), []
        for tick in range(round(seconds / TICK)):
            while time.monotonic() - start < tick * TICK:
                self.spin(0.001)
            target = path((tick + 1) * TICK)
            sent.append((time.monotonic(), target))
            self.command(target)
        return sent

    def recover(self) -> Trigger.Response:
        self.until(self._recover.service_is_ready, "the recover service")
        answer = self._recover.call_async(Trigger.Request())
        self.until(answer.done, "an answer of the recover service")
        return answer.result()


def along_y(start: Pose, speed: float) -> Callable[[float], Pose]:
    """A path along the y axis at a speed (m/s)."""
    return lambda t: start.moved(np.array([0.0, speed * t, 0.0]), np.zeros(3))
