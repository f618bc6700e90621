"""The action `hand/calibrate`: orca_core's progress as feedback, cancellable, one goal at a time."""

from collections.abc import Callable
from concurrent.futures import Future
from typing import Any

from rclpy.action import ActionServer, CancelResponse, GoalResponse
from rclpy.action.server import ServerGoalHandle
from rclpy.node import Node

from orca_hand_driver.hand_thread import HandThread
from soft_flow_contract import topics
from soft_flow_msgs.action import CalibrateHand


class CalibrateAction:
    """Lets the bus's thread calibrate, and reports how it goes.

    The goal is finished from `update`, which the node calls from a timer: nothing waits in a callback.
    """

    def __init__(self, node: Node, thread: Callable[[], HandThread | None]) -> None:
        """Serve the action on `node`; `thread` gives the hand's, or None before there is one."""
        self._thread, self._step, self._steps = thread, 0, 0
        self._goal: ServerGoalHandle | None = None
        self._answer: Future[str] | None = None
        self._server = ActionServer(
            node,
            CalibrateHand,
            topics.HAND_CALIBRATE,
            execute_callback=self._finish,
            goal_callback=self._on_goal,
            handle_accepted_callback=self._on_accepted,
            cancel_callback=self._on_cancel,
        )

    def _on_goal(self, _: CalibrateHand.Goal) -> GoalResponse:
        return GoalResponse.REJECT if self._goal is not None else GoalResponse.ACCEPT

    def _on_accepted(self, goal: ServerGoalHandle) -> None:
        self._goal, self._step, self._steps = goal, 0, 0
        if (thread := self._thread()) is None:
            self._answer = Future()
            self._answer.set_result("the driver is not configured")
        else:
            self._answer = thread.calibrate(goal.request.force, self._on_progress)

    def _on_cancel(self, _: ServerGoalHandle) -> CancelResponse:
        if (thread := self._thread()) is not None:
            thread.cancel_calibration()
        return CancelResponse.ACCEPT

    def _on_progress(self, event: dict[str, Any]) -> None:
        """Called in the bus's thread, with every event of orca_core."""
        goal = self._goal
        if goal is None or not goal.is_active:
            return
        self._step = int(event["index"]) + 1 if "index" in event else self._step
        self._steps = int(event.get("total", self._steps))
        joints = event.get("joints", event.get("joint", ""))
        named = joints if isinstance(joints, str) else ", ".join(joints)
        feedback = CalibrateHand.Feedback(step=self._step, steps=self._steps, joints=named)
        feedback.event = str(event.get("event", ""))
        goal.publish_feedback(feedback)

    def update(self) -> None:
        """Finish the goal when the thread has answered."""
        if self._goal is not None and self._answer is not None and self._answer.done():
            self._goal.execute()

    def _finish(self, goal: ServerGoalHandle) -> CalibrateHand.Result:
        assert self._answer is not None
        problem, self._goal, self._answer = self._answer.result(), None, None
        if not problem:
            goal.succeed()
            return CalibrateHand.Result(success=True, message="calibrated")
        if goal.is_cancel_requested:
            goal.canceled()
        else:
            goal.abort()
        return CalibrateHand.Result(message=problem)

    def destroy(self) -> None:
        """Take the action away."""
        self._server.destroy()
