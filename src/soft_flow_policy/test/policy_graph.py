"""The policy node in-process, in a context of its own, and a peer that plays arbiter, sensors and learner."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import rclpy
from rclpy.context import Context
from rclpy.executors import SingleThreadedExecutor
from rclpy.parameter import Parameter
from std_msgs.msg import String

from soft_flow_contract import topics
from soft_flow_contract.message_conversion import to_observation_message, to_time
from soft_flow_contract.policy_state import PolicyState
from soft_flow_contract.steps import ObservationData
from soft_flow_contract.task_specification import TaskSpecification
from soft_flow_msgs.msg import ActionChunk, ArbiterState, Observation, PolicyHeartbeat, PolicyWeights
from soft_flow_policy.message_conversion import to_weights_message
from soft_flow_policy.policy_node import PolicyNode
from soft_flow_policy.weights import WeightsRecord

DT = 50_000_000
START = 20 * DT


class Graph:
    """The policy node and the other side of its topics."""

    def __init__(self, checkpoint: Path, task: TaskSpecification, **parameters: object) -> None:
        self.context = Context()
        rclpy.init(context=self.context)
        values = {"checkpoint": str(checkpoint), **parameters}
        overrides = [Parameter(name, value=value) for name, value in values.items()]
        self.node = PolicyNode(context=self.context, parameter_overrides=overrides)
        self.peer = rclpy.create_node("peer", context=self.context)
        self.task = task
        self.chunks: list[ActionChunk] = []
        self.heartbeats: list[PolicyHeartbeat] = []
        self.states: list[PolicyState] = []
        self.peer.create_subscription(ActionChunk, topics.ACTION_CHUNK, self.chunks.append, topics.RECORDED)
        self.peer.create_subscription(
            PolicyHeartbeat, topics.POLICY_HEARTBEAT, self.heartbeats.append, topics.RECORDED
        )
        self.peer.create_subscription(
            String,
            topics.POLICY_STATE,
            lambda message: self.states.append(PolicyState.from_json(message.data)),
            topics.STATE,
        )
        self.observations = self.peer.create_publisher(Observation, topics.OBSERVATION, topics.OBSERVATIONS)
        self.arbiter = self.peer.create_publisher(ArbiterState, topics.ARBITER_STATE, topics.STATE)
        self.specification = self.peer.create_publisher(String, topics.TASK_SPECIFICATION, topics.STATE)
        self.weights = self.peer.create_publisher(PolicyWeights, topics.POLICY_WEIGHTS, topics.STATE)
        self.executor = SingleThreadedExecutor(context=self.context)
        self.executor.add_node(self.node)
        self.executor.add_node(self.peer)

    def close(self) -> None:
        self.executor.shutdown()
        self.node.destroy_node()
        self.peer.destroy_node()
        rclpy.shutdown(context=self.context)

    def until(self, condition: Callable[[], bool], what: str) -> None:
        for _ in range(3000):
            if condition():
                return
            self.executor.spin_once(timeout_sec=0.01)
        pytest.fail(f"never happened: {what}")

    def be_ready(self) -> None:
        self.until(lambda: not self.node._readiness.missing(), "policy node ready")
        self.until(lambda: self.observations.get_subscription_count() > 0, "observations matched")

    def enter_epoch(self, number: int, start_ns: int, mode: int = ArbiterState.MODE_POLICY) -> None:
        self.arbiter.publish(ArbiterState(mode=mode, epoch=number, epoch_start=to_time(start_ns)))
        self.until(
            lambda: self.node._arbiter is not None and self.node._arbiter.epoch == number,
            f"epoch {number} known",
        )

    def observe(self, stamp_ns: int, **changes: object) -> PolicyHeartbeat:
        """Send the observation of a tick and wait for the heartbeat that answers it."""
        count = len(self.heartbeats)
        message = to_observation_message(make_observation(self.task, stamp_ns), self.task)
        for name, value in changes.items():
            setattr(message, name, value)
        self.observations.publish(message)
        self.until(lambda: len(self.heartbeats) > count, f"heartbeat of {stamp_ns}")
        return self.heartbeats[-1]

    def publish_weights(self, record: WeightsRecord) -> None:
        """Send weights as the learner does."""
        self.weights.publish(to_weights_message(record))

    def diagnostic(self, key: str) -> str:
        """A value of the node's status."""
        return {pair.key: pair.value for pair in self.node.status().values}[key]

    def wait_for_chunks(self, count: int) -> list[ActionChunk]:
        self.until(lambda: len(self.chunks) >= count, f"{count} chunks")
        return self.chunks


def make_observation(task: TaskSpecification, stamp_ns: int) -> ObservationData:
    generator = np.random.default_rng(stamp_ns // DT)
    images = {
        camera.name: generator.integers(0, 256, (camera.height, camera.width, 3), dtype=np.uint8)
        for camera in task.observation.cameras
    }
    proprioception = generator.uniform(-1, 1, task.proprioception_dimension).astype(np.float32)
    return ObservationData(stamp_ns, proprioception, images)
