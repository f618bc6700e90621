"""Parameters, topics and readiness of the policy node, which adds what it does with them."""

from collections.abc import Callable

from rclpy.lifecycle import LifecycleNode
from rclpy.subscription import Subscription
from std_msgs.msg import String

from soft_flow_contract import topics
from soft_flow_contract.graph_node import Readiness, declare_parameters
from soft_flow_contract.policy_state import PolicyState
from soft_flow_msgs.msg import ActionChunk, ArbiterState, Observation, PolicyHeartbeat, PolicyWeights
from soft_flow_policy.policy_parameters import PolicyParameters


class PolicyReadiness(Readiness):
    """Ready when matched and active."""

    active = False

    def missing(self) -> list[str]:
        """As `Readiness.missing`, and the activation of the node."""
        return [*super().missing(), *([] if self.active else ["activation"])]


class PolicyEndpointsNode(LifecycleNode):
    """What the policy node is connected to."""

    def __init__(self, **kwargs: object) -> None:
        super().__init__("policy_node", **kwargs)
        self.parameters = declare_parameters(self, PolicyParameters)
        self.chunks = self.create_publisher(ActionChunk, topics.ACTION_CHUNK, topics.COMMAND)
        self.heartbeats = self.create_publisher(PolicyHeartbeat, topics.POLICY_HEARTBEAT, topics.COMMAND)
        self._state = self.create_publisher(String, topics.POLICY_STATE, topics.STATE)
        self._told: PolicyState | None = None
        self._weights: Subscription | None = None

    def subscribe(
        self,
        on_observation: Callable[[Observation], None],
        on_arbiter: Callable[[ArbiterState], None],
        on_specification: Callable[[String], None],
    ) -> None:
        """Listen to all but weights."""
        inputs = [
            self.create_subscription(Observation, topics.OBSERVATION, on_observation, topics.OBSERVATIONS),
            self.create_subscription(ArbiterState, topics.ARBITER_STATE, on_arbiter, topics.STATE),
            self.create_subscription(String, topics.TASK_SPECIFICATION, on_specification, topics.STATE),
        ]
        self._readiness = PolicyReadiness(self, [self.chunks, self.heartbeats], inputs)

    def subscribe_weights(self, on_weights: Callable[[bytes], None]) -> None:
        """Listen to weights, as the bytes that were sent; at once to those that were sent last."""
        self._weights = self.create_subscription(
            PolicyWeights, topics.POLICY_WEIGHTS, on_weights, topics.STATE, raw=True
        )

    def unsubscribe_weights(self) -> None:
        """Listen to weights no more."""
        if self._weights is not None:
            self.destroy_subscription(self._weights)
            self._weights = None

    def publish_state(self, state: PolicyState) -> None:
        """Say which weights act, and which are to; nothing if that was said."""
        if state != self._told:
            self._told = state
            self._state.publish(String(data=state.to_json()))
