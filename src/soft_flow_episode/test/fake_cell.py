"""A cell without physics behind the topics of simulator, observation node and policy, in lockstep."""

import array
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import rclpy
from geometry_msgs.msg import PoseStamped
from rclpy.context import Context
from rclpy.executors import SingleThreadedExecutor
from rclpy.node import Node
from rclpy.parameter import Parameter
from sensor_msgs.msg import JointState
from std_srvs.srv import Trigger

from soft_flow_contract import topics
from soft_flow_contract.message_conversion import header, to_nanoseconds, to_observation_message, to_time
from soft_flow_contract.pose import Pose
from soft_flow_contract.steps import ObservationData
from soft_flow_contract.task_specification import TaskSpecification
from soft_flow_msgs.msg import Action, ActionChunk, ArbiterState, Observation, PolicyHeartbeat, TaskOutcome
from soft_flow_msgs.srv import ResetWorld

TASK_FILE = Path(__file__).parents[3] / "config" / "tasks" / "scissors.yaml"
HOME = Pose(np.array([0.5, 0.0, 0.4]), np.array([1.0, 0.0, 0.0, 0.0]))


def observation_data(specification: TaskSpecification, stamp_ns: int, pose: Pose = HOME) -> ObservationData:
    """A valid observation of a robot that stands at `pose`; its images tell the tick."""
    hand = np.zeros(len(specification.hand_joint_names))
    values = {name: 0.0 for name in specification.proprioception_slices}
    values |= {"flange_position": pose.position, "flange_rotation": pose.rotation_6d}
    values |= {"arm_target_position": pose.position, "arm_target_rotation": pose.rotation_6d}
    values |= {"hand_joint_position": hand, "hand_target": hand}
    level = stamp_ns // specification.dt_ns % 256
    images = {
        camera.name: np.full((camera.height, camera.width, 3), level, dtype=np.uint8)
        for camera in specification.observation.cameras
    }
    return ObservationData(stamp_ns, specification.assemble_proprioception(values), images)


@dataclass
class Faults:
    """What goes wrong, by seed: the tick of the fault (counted from the episode's start)."""

    gap: dict[int, int] = field(default_factory=dict)
    invalid: dict[int, int] = field(default_factory=dict)
    silent: dict[int, int] = field(default_factory=dict)


class FakeCell(Node):
    """Answers each pair of commands with the outcome and the next observation."""

    def __init__(self, context: Context, steps: int = 12, faults: Faults | None = None) -> None:
        super().__init__("fake_cell", context=context)
        self.specification = TaskSpecification.load(TASK_FILE)
        self.steps, self.faults = steps, faults or Faults()
        self.on_tick: Callable[[int, int], None] = lambda seed, tick: None
        self.arm_targets: list[PoseStamped] = []
        self.grasp_assist: list[bool] = []
        self._episode_id, self._seed, self._start_ns, self._tick = "", 0, 0, 0
        self._now_ns, self._waits = 0, False
        self._commands: dict[str, int] = {}
        self._observations = self.create_publisher(Observation, topics.OBSERVATION, topics.OBSERVATIONS)
        self._outcomes = self.create_publisher(TaskOutcome, topics.TASK_OUTCOME, topics.RECORDED)
        self.create_subscription(PoseStamped, topics.ARM_TARGET_POSE, self._on_arm, topics.COMMAND)
        self.create_subscription(JointState, topics.HAND_TARGET_JOINT, self._on_hand, topics.COMMAND)
        self.create_service(ResetWorld, topics.SIMULATION_RESET, self._reset)
        self.create_service(Trigger, topics.SIMULATION_START, self._begin)

    def _reset(self, request: ResetWorld.Request, response: ResetWorld.Response) -> ResetWorld.Response:
        second = 1_000_000_000
        self._episode_id, self._seed = request.episode_id, request.seed
        self.grasp_assist.append(request.grasp_assist)
        self._start_ns = (self._now_ns // second + 2) * second
        self._tick, self._commands, self._waits = 0, {}, False
        response.success, response.start = True, to_time(self._start_ns)
        return response

    def _begin(self, request: Trigger.Request, response: Trigger.Response) -> Trigger.Response:
        self._observe()
        response.success = True
        return response

    def _observe(self) -> None:
        self._now_ns = self._start_ns + self._tick * self.specification.dt_ns
        self._waits = True
        self.on_tick(self._seed, self._tick)
        data = observation_data(self.specification, self._now_ns)
        self._observations.publish(to_observation_message(data, self.specification))

    def _on_arm(self, message: PoseStamped) -> None:
        self.arm_targets.append(message)
        self._on_command("arm", to_nanoseconds(message.header.stamp))

    def _on_hand(self, message: JointState) -> None:
        self._on_command("hand", to_nanoseconds(message.header.stamp))

    def _on_command(self, part: str, stamp_ns: int) -> None:
        self._commands[part] = stamp_ns
        if self._waits and stamp_ns == self._now_ns and self._commands == {"arm": stamp_ns, "hand": stamp_ns}:
            self._commands, self._waits = {}, False
            if self._tick < self.steps and self.faults.silent.get(self._seed) != self._tick:
                self._advance()

    def _advance(self) -> None:
        self._tick += 1
        if self.faults.gap.get(self._seed) == self._tick:
            self._tick += 1
        stamp_ns = self._start_ns + self._tick * self.specification.dt_ns
        outcome = TaskOutcome(header=header(stamp_ns), episode_id=self._episode_id, valid=True)
        last = self._tick >= self.steps
        success = last and self._seed % 2 == 0
        outcome.flag_names, outcome.flags = ["grasped", "cut"], [self._tick > self.steps // 2, success]
        outcome.terminal, outcome.truncated, outcome.success = success, last and not success, success
        outcome.reward = float(success)
        if self.faults.invalid.get(self._seed) == self._tick:
            outcome.valid, outcome.reason = False, "the world diverged"
        self._outcomes.publish(outcome)
        if outcome.valid:
            self._observe()


class FakePolicy(Node):
    """Plans a chunk of small constant actions at each observation for which the last one has run out."""

    def __init__(self, context: Context) -> None:
        super().__init__("fake_policy", context=context)
        self.specification = TaskSpecification.load(TASK_FILE)
        self.value = 0.25
        self.arm_values: Callable[[np.ndarray], np.ndarray] = lambda actions: actions
        self._epoch = self._epoch_start_ns = 0
        self._last: Observation | None = None
        self._planned: tuple[int, int] = (0, -(10**18))  # epoch and stamp
        self._chunk_id = 0
        self._chunks = self.create_publisher(ActionChunk, topics.ACTION_CHUNK, topics.COMMAND)
        self._heartbeats = self.create_publisher(PolicyHeartbeat, topics.POLICY_HEARTBEAT, topics.COMMAND)
        self.create_subscription(Observation, topics.OBSERVATION, self._on_observation, topics.OBSERVATIONS)
        self.create_subscription(ArbiterState, topics.ARBITER_STATE, self._on_state, topics.STATE)
        self.create_service(Trigger, "~/ready", self._ready)

    def _ready(self, request: Trigger.Request, response: Trigger.Response) -> Trigger.Response:
        response.success = self._chunks.get_subscription_count() > 0
        response.message = "waits for the arbiter"
        return response

    def _on_state(self, message: ArbiterState) -> None:
        self._epoch, self._epoch_start_ns = message.epoch, to_nanoseconds(message.epoch_start)
        if self._last is not None:
            self._plan(to_nanoseconds(self._last.header.stamp))

    def _on_observation(self, message: Observation) -> None:
        self._last = message
        self._heartbeats.publish(PolicyHeartbeat(header=message.header, healthy=True))
        self._plan(to_nanoseconds(message.header.stamp))

    def _plan(self, stamp_ns: int) -> None:
        chunk, dt_ns = self.specification.chunk, self.specification.dt_ns
        epoch, planned_ns = self._planned
        played = 0 <= stamp_ns - planned_ns < chunk.executed * dt_ns
        if stamp_ns < self._epoch_start_ns or (epoch == self._epoch and played):
            return
        self._planned = self._epoch, stamp_ns
        self._chunk_id += 1
        shape = (chunk.length, self.specification.action_dimension)
        message = ActionChunk(header=header(stamp_ns), chunk_id=self._chunk_id, epoch=self._epoch)
        message.policy_version, message.horizon, message.action_dimension = 7, *shape
        message.actions = array.array("f", self.arm_values(np.full(shape, self.value)).ravel())
        self._chunks.publish(message)


class FakeOperator(Node):
    """Answers each observation with an action, as the teleoperation node does."""

    def __init__(self, context: Context) -> None:
        super().__init__("fake_operator", context=context)
        self.specification = TaskSpecification.load(TASK_FILE)
        self.deadman = True
        self._actions = self.create_publisher(Action, topics.TELEOP_ACTION, topics.COMMAND)
        self.create_subscription(Observation, topics.OBSERVATION, self._on_observation, topics.OBSERVATIONS)

    def _on_observation(self, message: Observation) -> None:
        action = Action(header=header(to_nanoseconds(message.header.stamp)), source="scripted")
        action.deadman = self.deadman
        action.values = array.array("f", [0.1] * self.specification.action_dimension)
        self._actions.publish(action)


def overrides(**values: Any) -> list[Parameter]:
    """Parameter overrides of a node."""
    return [Parameter(name, value=value) for name, value in ({"task_file": str(TASK_FILE)} | values).items()]


class Graph:
    """Nodes of one ROS context in one executor, spun until something happened."""

    def __init__(self, domain_id: int) -> None:
        self.context = Context()
        rclpy.init(context=self.context, domain_id=domain_id)
        self.executor = SingleThreadedExecutor(context=self.context)
        self._nodes: list[Node] = []

    def add(self, node: Node) -> Any:
        """Spin this node too."""
        self._nodes.append(node)
        self.executor.add_node(node)
        return node

    def remove(self, node: Node) -> None:
        """Destroy a node."""
        self._nodes.remove(node)
        self.executor.remove_node(node)
        node.destroy_node()

    def spin_until(self, happened: Callable[[], bool], limit_s: float = 30.0) -> None:
        """Spin until `happened`; the limit is only there to end a broken run."""
        from soft_flow_contract.graph_node import STEADY

        end_ns = STEADY.now().nanoseconds + round(limit_s * 1e9)
        while not happened():
            self.executor.spin_once(timeout_sec=0.2)
            assert STEADY.now().nanoseconds < end_ns, "it never happened"

    def call(self, client_type: Any, name: str, request: Any) -> Any:
        """Call a service and spin until it answers."""
        client = self._nodes[0].create_client(client_type, name)
        self.spin_until(client.service_is_ready)
        future = client.call_async(request)
        self.spin_until(future.done)
        return future.result()

    def spin_to_exit(self, limit_s: float = 60.0) -> int:
        """Spin until a node leaves; its exit status."""
        try:
            self.spin_until(lambda: False, limit_s)
        except SystemExit as stop:
            return int(stop.code or 0)
        raise AssertionError("unreachable")

    def close(self) -> None:
        """Destroy all."""
        for node in list(self._nodes):
            self.remove(node)
        rclpy.try_shutdown(context=self.context)
