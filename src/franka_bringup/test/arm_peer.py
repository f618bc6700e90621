"""Who stands around a driver of the arm in a test: its arbiter, and whoever hears its states."""

import time
from collections.abc import Callable

import rclpy
from geometry_msgs.msg import PoseStamped
from rclpy.context import Context
from rclpy.executors import SingleThreadedExecutor
from rclpy.node import Node
from sensor_msgs.msg import JointState
from std_msgs.msg import Bool
from std_srvs.srv import Trigger

from soft_flow_contract import message_conversion as convert
from soft_flow_contract import topics
from soft_flow_contract.pose import Pose
from soft_flow_msgs.msg import DriverState

DEADLINE = 30.0  # s for anything to happen


class ArmPeer:
    """Spins itself and the nodes under test; closes them all."""

    def __init__(self, context: Context, *nodes: Node) -> None:
        self.context, self._nodes = context, nodes
        self.peer = rclpy.create_node("peer", context=context)
        self.executor = SingleThreadedExecutor(context=context)
        for node in (*nodes, self.peer):
            self.executor.add_node(node)
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
        for node in (*self._nodes, self.peer):
            node.destroy_node()
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

    @property
    def state(self) -> int:
        return self.states[-1].state if self.states else -1

    @property
    def reason(self) -> str:
        return self.states[-1].reason if self.states else ""

    def until_state(self, state: int) -> None:
        self.until(lambda: self.state == state, f"driver state {state}")

    def press(self, pressed: bool) -> None:
        self._stop.publish(Bool(data=pressed))

    def command(self, pose: Pose, frame: str = "base") -> None:
        self.targets.publish(convert.to_pose_stamped(pose, self.peer.get_clock().now().nanoseconds, frame))

    def recover(self) -> Trigger.Response:
        self.until(self._recover.service_is_ready, "the recover service")
        answer = self._recover.call_async(Trigger.Request())
        self.until(answer.done, "an answer of the recover service")
        return answer.result()
