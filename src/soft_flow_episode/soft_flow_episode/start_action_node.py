"""The arbiter's action `arbiter/go_to_start`: feedback every tick, cancellable, one goal at a time."""

from collections.abc import Callable

from rclpy.action import ActionServer, CancelResponse, GoalResponse
from rclpy.action.server import ServerGoalHandle
from rclpy.node import Node

from soft_flow_contract import topics
from soft_flow_episode.arbiter import Arbiter, ModeRefusedError
from soft_flow_episode.command import Mode
from soft_flow_msgs.action import GoToStart


class StartAction:
    """Puts the arbiter into mode START and reports how it goes.

    The goal is finished from `update`, which the node calls after every command: a coroutine that waits would
    keep the executor busy.
    """

    def __init__(self, node: Node, arbiter: Arbiter, on_change: Callable[[], None]) -> None:
        """Serve the action on `node`; `on_change` publishes the arbiter's state."""
        self._arbiter, self._on_change = arbiter, on_change
        self._goal: ServerGoalHandle | None = None
        self._refusal = ""
        self._server = ActionServer(
            node,
            GoToStart,
            topics.GO_TO_START,
            execute_callback=self._finish,
            goal_callback=self._on_goal,
            handle_accepted_callback=self._on_accepted,
            cancel_callback=lambda _: CancelResponse.ACCEPT,
        )

    def _on_goal(self, _: GoToStart.Goal) -> GoalResponse:
        return GoalResponse.REJECT if self._goal is not None else GoalResponse.ACCEPT

    def _on_accepted(self, goal: ServerGoalHandle) -> None:
        self._goal, self._refusal = goal, ""
        try:
            self._arbiter.set_mode(Mode.START, 0)
        except ModeRefusedError as refusal:
            self._refusal = str(refusal)
            goal.execute()
            return
        self._on_change()

    def update(self) -> None:
        """Report the distance; finish the goal if it is reached, given up, cancelled or overruled."""
        goal, arbiter = self._goal, self._arbiter
        if goal is None or self._refusal:
            return
        if goal.is_cancel_requested and arbiter.mode is Mode.START:
            arbiter.set_mode(Mode.HOLD, 0)
            self._on_change()
        if arbiter.mode is not Mode.START:
            goal.execute()
        elif (measured := arbiter.measured) is not None and arbiter.approach is not None:
            distance = arbiter.approach.distance(measured)
            feedback = GoToStart.Feedback(distance=distance.flange, angle=distance.angle)
            feedback.hand_error = distance.hand
            goal.publish_feedback(feedback)

    def _finish(self, goal: ServerGoalHandle) -> GoToStart.Result:
        arbiter, self._goal = self._arbiter, None
        if self._refusal:
            goal.abort()
            return GoToStart.Result(message=self._refusal)
        self._on_change()
        if goal.is_cancel_requested:
            goal.canceled()
            return GoToStart.Result(message="cancelled; the robot holds")
        measured = arbiter.measured
        there = (
            not arbiter.stop_reason
            and measured is not None
            and arbiter.approach is not None
            and arbiter.approach.distance(measured).within_tolerance
        )
        if there:
            goal.succeed()
            return GoToStart.Result(success=True, message="at the start")
        goal.abort()
        return GoToStart.Result(message=arbiter.stop_reason or "another mode was set on the way")

    def destroy(self) -> None:
        """Take the action away."""
        self._server.destroy()
