"""A made-up graph for tests: what a robot's nodes publish and offer, in a thread."""

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

from rclpy.action import ActionServer, CancelResponse
from rclpy.action.server import ServerGoalHandle
from rclpy.context import Context
from rclpy.executors import SingleThreadedExecutor
from rclpy.node import Node
from sensor_msgs.msg import Image, JointState
from std_msgs.msg import Bool
from std_srvs.srv import SetBool, Trigger

from soft_flow_contract import topics
from soft_flow_msgs.action import CalibrateHand, GoToStart
from soft_flow_msgs.msg import DriverState
from soft_flow_msgs.srv import EndEpisode, LabelEpisode, StartEpisode

JOINT_PERIOD, FUTURE_NS = 0.01, 3 * 10**9


class SmallGraph(Node):
    """Arm and camera publish, the hand's stamps are of the future, the stop is pressed; it keeps requests."""

    def __init__(self, context: Context) -> None:
        super().__init__("small_graph", context=context)
        self.asked: list[tuple[str, Any]] = []
        self.refusal = ""
        self._arm = self.create_publisher(JointState, topics.ARM_JOINT_STATES, topics.sensor(False))
        self._hand = self.create_publisher(JointState, topics.HAND_JOINT_STATES, topics.sensor(False))
        self._image = self.create_publisher(Image, topics.camera_image("external"), topics.sensor(False))
        self._driver = self.create_publisher(DriverState, topics.HAND_DRIVER_STATE, topics.STATE)
        self._driver.publish(DriverState(state=DriverState.FAULT, reason="the port is lost"))
        self._stop = self.create_publisher(Bool, topics.EMERGENCY_STOP_STATE, topics.STATE)
        self._stop.publish(Bool(data=True))
        self.create_timer(JOINT_PERIOD, self._publish)
        for name in (topics.EMERGENCY_STOP, topics.HAND_RECOVER):
            self.create_service(Trigger, name, self._answer(name))
        self.create_service(SetBool, topics.HAND_TORQUE, self._answer(topics.HAND_TORQUE))
        self.create_service(StartEpisode, topics.EPISODE_START, self._answer(topics.EPISODE_START))
        self.create_service(EndEpisode, topics.EPISODE_END, self._answer(topics.EPISODE_END))
        self.create_service(LabelEpisode, topics.EPISODE_LABEL, self._answer(topics.EPISODE_LABEL))
        self._calibrate = ActionServer(self, CalibrateHand, topics.HAND_CALIBRATE, self._on_calibrate)
        self._go = ActionServer(
            self,
            GoToStart,
            topics.GO_TO_START,
            self._on_cancelled,
            handle_accepted_callback=self._on_go,
            cancel_callback=lambda _: CancelResponse.ACCEPT,
        )
        self._goal: ServerGoalHandle | None = None

    def destroy_node(self) -> None:
        """Actions first: they would outlive the node, and be found by the next test."""
        self._calibrate.destroy()
        self._go.destroy()
        super().destroy_node()

    def _publish(self) -> None:
        now = self.get_clock().now()
        for publisher, message in ((self._arm, JointState()), (self._image, Image())):
            message.header.stamp = now.to_msg()
            publisher.publish(message)
        self._go_on()
        early = JointState()
        early.header.stamp.sec = now.to_msg().sec + FUTURE_NS // 10**9
        self._hand.publish(early)

    def _answer(self, name: str) -> Callable[[Any, Any], Any]:
        def answer(request: Any, response: Any) -> Any:
            self.asked.append((name, request))
            response.success, response.message = not self.refusal, self.refusal
            if isinstance(response, StartEpisode.Response):
                response.episode_id = "e7"
            return response

        return answer

    def _on_calibrate(self, goal: ServerGoalHandle) -> CalibrateHand.Result:
        self.asked.append((topics.HAND_CALIBRATE, goal.request))
        goal.publish_feedback(CalibrateHand.Feedback(step=3, steps=16, event="step", joints="index_mcp"))
        goal.succeed()
        return CalibrateHand.Result(success=True, message="calibrated")

    def _on_go(self, goal: ServerGoalHandle) -> None:
        """Begin to go; it never gets there: it is there to be cancelled."""
        self._goal = goal

    def _go_on(self) -> None:
        goal = self._goal
        if goal is None:
            return
        if goal.is_cancel_requested:
            self._goal = None
            goal.execute()
        else:
            goal.publish_feedback(GoToStart.Feedback(distance=0.5))

    def _on_cancelled(self, goal: ServerGoalHandle) -> GoToStart.Result:
        goal.canceled()
        return GoToStart.Result(message="cancelled; the robot holds")


@contextmanager
def small_graph() -> Iterator[SmallGraph]:
    """Run it in the test's ROS domain."""
    context = Context()
    context.init()
    node, executor = SmallGraph(context), SingleThreadedExecutor(context=context)
    executor.add_node(node)
    thread = threading.Thread(target=executor.spin, daemon=True)
    thread.start()
    try:
        yield node
    finally:
        executor.shutdown()
        thread.join(10)
        node.destroy_node()
        context.try_shutdown()
