"""The benchmarks' own nodes: each plays the arbiter to one driver, and keeps what it says."""

import time
from collections.abc import Callable

import numpy as np
import rclpy
from arm_trace import Drive
from diagnostic_msgs.msg import DiagnosticArray
from geometry_msgs.msg import PoseStamped
from rclpy.executors import SingleThreadedExecutor
from sensor_msgs.msg import JointState
from std_msgs.msg import Bool
from std_srvs.srv import Trigger

from soft_flow_contract import message_conversion as convert
from soft_flow_contract import topics
from soft_flow_msgs.msg import DriverState

PATIENCE = 60.0  # s for anything to happen
_TICK = 0.05  # s
_REST = 1.5  # s after a drive


class DriverCommander:
    """Says that the emergency stop is released, and hears the driver's state."""

    def __init__(self, state_topic: str) -> None:
        rclpy.init()
        self._node = rclpy.create_node("driver_benchmark")
        self._executor = SingleThreadedExecutor()
        self._executor.add_node(self._node)
        self._state, self._reason = -1, ""
        self._node.create_subscription(DriverState, state_topic, self._on_state, topics.STATE)
        self._stop = self._node.create_publisher(Bool, topics.EMERGENCY_STOP_STATE, topics.STATE)
        self._stop.publish(Bool(data=False))

    def _on_state(self, message: DriverState) -> None:
        self._state, self._reason = message.state, message.reason

    def _until(self, condition: Callable[[], bool], what: str) -> None:
        end = time.monotonic() + PATIENCE
        while not condition():
            if time.monotonic() > end:
                raise TimeoutError(f"never happened: {what}")
            self._executor.spin_once(timeout_sec=0.01)

    def until_ready(self) -> None:
        """Spin until the driver follows commands.

        Raises:
            TimeoutError: it never does.
        """
        self._until(lambda: self._state == DriverState.READY, "a driver that follows commands")

    def _spin_to(self, due: float) -> None:
        """Spin until a time of the steady clock."""
        while (remaining := due - time.monotonic()) > 0:
            self._executor.spin_once(timeout_sec=remaining)

    def _stamp_ns(self) -> int:
        return self._node.get_clock().now().nanoseconds

    def close(self) -> None:
        """End."""
        self._executor.shutdown()
        self._node.destroy_node()
        rclpy.try_shutdown()


class ArmCommander(DriverCommander):
    """Drives the arm, and keeps joint states with the time at which it had them."""

    def __init__(self) -> None:
        super().__init__(topics.ARM_DRIVER_STATE)
        self.received: list[float] = []
        self.positions: list[np.ndarray] = []
        self._pose: PoseStamped | None = None
        subscribe = self._node.create_subscription
        subscribe(JointState, topics.ARM_JOINT_STATES, self._on_joints, topics.sensor(False))
        subscribe(PoseStamped, topics.ARM_CURRENT_POSE, self._on_pose, topics.sensor(False))
        self._targets = self._node.create_publisher(PoseStamped, topics.ARM_TARGET_POSE, topics.COMMAND)
        self._recover = self._node.create_client(Trigger, topics.ARM_RECOVER)

    def _on_joints(self, message: JointState) -> None:
        self.received.append(time.monotonic())
        self.positions.append(np.array(message.position))

    def _on_pose(self, message: PoseStamped) -> None:
        self._pose = message

    def follow(self, drive: Drive) -> float:
        """Send the drive's targets; when the last was sent. Then wait until the driver holds, and recover.

        Raises:
            RuntimeError: the driver held before the end.
        """
        self._until(lambda: self._pose is not None, "a pose of the flange")
        assert self._pose is not None
        start = convert.to_pose(self._pose.pose)
        began = last = time.monotonic()
        for due, target in drive.targets(start):
            self._spin_to(began + due)
            if self._state != DriverState.READY:
                raise RuntimeError(f"the driver held on its way: {self._reason}; is the machine busy?")
            last = time.monotonic()
            self._targets.publish(convert.to_pose_stamped(target, self._stamp_ns()))
        self._until(lambda: self._state == DriverState.FAULT, "a driver that misses commands")
        self._spin_to(last + _REST)
        self._recover_driver()
        return last

    def _recover_driver(self) -> None:
        end = time.monotonic() + PATIENCE
        while True:
            answer = self._recover.call_async(Trigger.Request())
            self._until(answer.done, "an answer of the recover service")
            if answer.result().success:
                break
            if time.monotonic() > end:
                raise RuntimeError(f"the driver does not recover: {answer.result().message}")
        self.until_ready()


class HandCommander(DriverCommander):
    """Commands the hand to stand where it is, and keeps what the driver says of its bus."""

    def __init__(self) -> None:
        super().__init__(topics.HAND_DRIVER_STATE)
        self.values: dict[str, str] = {}
        self._joints = JointState()
        subscribe = self._node.create_subscription
        subscribe(JointState, topics.HAND_JOINT_STATES, self._on_joints, topics.sensor(False))
        subscribe(DiagnosticArray, topics.DIAGNOSTICS, self._on_diagnostics, 10)
        self._targets = self._node.create_publisher(JointState, topics.HAND_TARGET_JOINT, topics.COMMAND)

    def _on_joints(self, message: JointState) -> None:
        self._joints = message

    def _on_diagnostics(self, message: DiagnosticArray) -> None:
        self.values = {pair.key: pair.value for pair in message.status[0].values}

    def command_for(self, seconds: float) -> None:
        """Command the same pose, tick by tick."""
        self._until(lambda: bool(self._joints.name), "joint states of the hand")
        pose, names = np.array(self._joints.position), list(self._joints.name)
        end = due = time.monotonic()
        end += seconds
        while time.monotonic() < end:
            due += _TICK
            self._targets.publish(convert.to_joint_state(names, pose, self._stamp_ns()))
            self._spin_to(due)
