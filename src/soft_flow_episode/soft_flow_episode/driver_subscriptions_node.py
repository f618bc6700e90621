"""Listens to the drivers' states for the arbiter."""

from collections.abc import Callable

from rclpy.node import Node

from soft_flow_contract import topics
from soft_flow_contract.graph_node import STEADY
from soft_flow_episode.driver_watch import DriverWatch
from soft_flow_msgs.msg import DriverState

_TOPICS = {"arm": topics.ARM_DRIVER_STATE, "hand": topics.HAND_DRIVER_STATE}
_CHECK_S = 0.5


class DriverSubscriptions:
    """Tells, at every word of a driver and twice a second, what is wrong with the drivers."""

    def __init__(
        self, node: Node, names: list[str], patience: float, on_problem: Callable[[str], None]
    ) -> None:
        """Listen to these drivers (none: a robot without); see DriverWatch for `patience`."""
        self._watch, self._on_problem = DriverWatch(names, patience), on_problem
        for name in names:
            node.create_subscription(
                DriverState, _TOPICS[name], lambda state, name=name: self._hear(name, state), topics.STATE
            )
        if names:
            node.create_timer(_CHECK_S, self._check, clock=STEADY)
            self._check()

    def _hear(self, name: str, state: DriverState) -> None:
        now = STEADY.now().nanoseconds * 1e-9
        self._watch.hear(name, now, state.state == DriverState.READY, state.reason)
        self._check()

    def _check(self) -> None:
        self._on_problem(self._watch.problem(STEADY.now().nanoseconds * 1e-9))
