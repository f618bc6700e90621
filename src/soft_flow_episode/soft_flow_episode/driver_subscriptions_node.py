"""Listens to the drivers for the arbiter: what they say of themselves, and that their states keep coming."""

from collections.abc import Callable
from functools import partial

from geometry_msgs.msg import PoseStamped
from rclpy.node import Node
from sensor_msgs.msg import JointState

from soft_flow_contract import topics
from soft_flow_contract.graph_node import STEADY
from soft_flow_contract.message_conversion import to_nanoseconds
from soft_flow_episode.driver_watch import DriverWatch
from soft_flow_episode.state_freshness import StateFreshness
from soft_flow_msgs.msg import DriverState

_WORDS = {"arm": topics.ARM_DRIVER_STATE, "hand": topics.HAND_DRIVER_STATE}
_STATES = {"arm": (PoseStamped, topics.ARM_CURRENT_POSE), "hand": (JointState, topics.HAND_JOINT_STATES)}
_CHECK_S = 0.5


class DriverSubscriptions:
    """Tells, at every word of a driver and twice a second, what is wrong with the drivers."""

    def __init__(
        self, node: Node, names: list[str], patience: float, on_problem: Callable[[str], None]
    ) -> None:
        """Listen to these drivers (none: a robot without); see DriverWatch for `patience`."""
        self._node = node
        self._watch, self._on_problem = DriverWatch(names, patience), on_problem
        for name in names:
            node.create_subscription(
                DriverState, _WORDS[name], lambda state, name=name: self._hear(name, state), topics.STATE
            )
        if names:
            node.create_timer(_CHECK_S, self._check, clock=STEADY)
            self._check()

    def require_fresh_states(self, freshness: StateFreshness) -> None:
        """Let `freshness` hear the stamps of all states of these drivers."""
        for name in self._watch.names:
            kind, topic = _STATES[name]
            freshness.watch(topic)
            date = partial(self._date, freshness, topic)
            self._node.create_subscription(kind, topic, date, topics.sensor(False))

    def _date(self, freshness: StateFreshness, topic: str, state: PoseStamped | JointState) -> None:
        freshness.hear(topic, to_nanoseconds(state.header.stamp), self._node.get_clock().now().nanoseconds)

    def _hear(self, name: str, state: DriverState) -> None:
        now = STEADY.now().nanoseconds * 1e-9
        self._watch.hear(name, now, state.state == DriverState.READY, state.reason)
        self._check()

    def _check(self) -> None:
        self._on_problem(self._watch.problem(STEADY.now().nanoseconds * 1e-9))
