"""Asks the arbiter to drive a real robot to the start of an episode."""

from collections.abc import Callable
from typing import Any

from rclpy.action import ActionClient
from rclpy.node import Node

from soft_flow_contract import topics
from soft_flow_msgs.action import GoToStart


class StartClient:
    """One drive to the start at a time."""

    def __init__(self, node: Node, on_progress: Callable[[], None]) -> None:
        """`on_progress` is called with every feedback of the arbiter."""
        self._client = ActionClient(node, GoToStart, topics.GO_TO_START)
        self._on_progress = on_progress

    def is_ready(self) -> bool:
        """Whether the arbiter offers the action."""
        return bool(self._client.server_is_ready())

    def destroy(self) -> None:
        """Let go of the action."""
        self._client.destroy()

    def go(self, then: Callable[[bool, str], None]) -> None:
        """Drive; `then` gets whether the robot is there, and what was said."""

        def on_accepted(future: Any) -> None:
            goal = future.result()
            if not goal.accepted:
                then(False, "refused: the robot is on its way already")
                return
            goal.get_result_async().add_done_callback(
                lambda done: then(done.result().result.success, done.result().result.message)
            )

        sent = self._client.send_goal_async(GoToStart.Goal(), feedback_callback=lambda _: self._on_progress())
        sent.add_done_callback(on_accepted)
