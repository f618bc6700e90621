"""Parameters, topics, services and readiness of the episode node, which adds what it does with them."""

from collections.abc import Callable

from rclpy.context import Context
from rclpy.node import Node
from rclpy.parameter import Parameter
from std_msgs.msg import String
from std_srvs.srv import Trigger

from soft_flow_contract import topics
from soft_flow_contract.graph_node import Readiness, declare_parameters
from soft_flow_contract.task_specification import TaskSpecification
from soft_flow_episode.episode_parameters import EpisodeParameters
from soft_flow_episode.episode_plan import EpisodeLine, EpisodePlan
from soft_flow_episode.episode_state_machine import EpisodeStateMachine
from soft_flow_episode.peer_readiness import PeerReadiness
from soft_flow_msgs.msg import (
    ArbiterState,
    EpisodeState,
    EpisodeSummary,
    ExecutedAction,
    Observation,
    TaskOutcome,
    Transition,
)
from soft_flow_msgs.srv import ResetWorld, SetMode


class EpisodeEndpointsNode(Node):
    """What the episode node is connected to."""

    def __init__(self, context: Context | None, overrides: list[Parameter] | None) -> None:
        super().__init__("episode_node", context=context, parameter_overrides=overrides or [])
        self.parameters = declare_parameters(self, EpisodeParameters)
        self.parameters.require_choices()
        self.specification = TaskSpecification.load(self.parameters.task_file)
        self.transitions = self.create_publisher(Transition, topics.TRANSITIONS, topics.TRANSITION_STREAM)
        self._state = self.create_publisher(EpisodeState, topics.EPISODE_STATE, topics.STATE)
        self.labels = self.create_publisher(String, topics.EPISODE_LABELS, topics.RECORDED)
        self._specification = self.create_publisher(String, topics.TASK_SPECIFICATION, topics.STATE)
        self._specification.publish(String(data=self.specification.canonical_json()))
        self.mode_client = self.create_client(SetMode, topics.SET_MODE)
        self.reset_client = self.start_client = None
        if self.parameters.has_scene:
            self.reset_client = self.create_client(ResetWorld, topics.SIMULATION_RESET)
            self.start_client = self.create_client(Trigger, topics.SIMULATION_START)
        names = self.parameters.required_node_names
        clients = {name: self.create_client(Trigger, f"{name}/ready") for name in names}
        self.peers = PeerReadiness(clients, Trigger.Request)

    def subscribe(
        self,
        on_observation: Callable[[bytes], None],
        on_action: Callable[[ExecutedAction], None],
        on_outcome: Callable[[TaskOutcome], None],
        on_arbiter: Callable[[ArbiterState], None],
        on_learner: Callable[[String], None],
        on_policy: Callable[[String], None],
    ) -> None:
        """Listen; observations come as the bytes that were sent, because they are only copied.

        To the learner, and to what the policy has of it, only where the learner is awaited.
        """
        topic, quality = topics.OBSERVATION, topics.RECORDED
        inputs = [
            self.create_subscription(Observation, topic, on_observation, quality, raw=True),
            self.create_subscription(ExecutedAction, topics.EXECUTED_ACTION, on_action, topics.RECORDED),
            self.create_subscription(ArbiterState, topics.ARBITER_STATE, on_arbiter, topics.STATE),
        ]
        if self.parameters.has_scene:
            inputs.append(
                self.create_subscription(TaskOutcome, topics.TASK_OUTCOME, on_outcome, topics.RECORDED)
            )
        if self.parameters.await_learner_every:
            inputs.append(self.create_subscription(String, topics.LEARNER_PROGRESS, on_learner, topics.STATE))
            self.create_subscription(String, topics.POLICY_STATE, on_policy, topics.STATE)
        self._readiness = Readiness(self, [], inputs)

    def waiting(self) -> str:
        """What the graph waits for; empty if nothing."""
        self.peers.poll()
        clients = (self.reset_client, self.mode_client, self.start_client)
        services = [
            client.srv_name for client in clients if client is not None and not client.service_is_ready()
        ]
        return self.peers.waiting([*self._readiness.missing(), *services])

    def publish_state(
        self, machine: EpisodeStateMachine, plan: EpisodePlan, step: int, last: EpisodeLine | None, bag: str
    ) -> None:
        """Publish the phase, and the last finished episode with the path of its bag."""
        state = EpisodeState(state=int(machine.phase), episode_id=machine.episode_id, seed=machine.seed)
        state.header.stamp = self.get_clock().now().to_msg()
        state.episode_index, state.episodes, state.step = plan.index, plan.episodes, step
        if last is not None:
            state.last_outcome = last.outcome
            state.finished = [_summary(last, bag)]
        self._state.publish(state)


def _summary(line: EpisodeLine, bag: str) -> EpisodeSummary:
    return EpisodeSummary(
        episode_id=line.id,
        seed=line.seed,
        outcome=line.outcome,
        reason=line.reason,
        steps=line.steps,
        flag_names=list(line.flags),
        flags=list(line.flags.values()),
        missed_deadlines=line.missed,
        bag=bag,
    )
