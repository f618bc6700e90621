"""The node in-process around a tiny world, with its own context; a peer plays the rest of the graph."""

from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest
import rclpy
from diagnostic_msgs.msg import DiagnosticStatus
from geometry_msgs.msg import PoseStamped
from rclpy.context import Context
from rclpy.executors import SingleThreadedExecutor
from rclpy.parameter import Parameter
from rosgraph_msgs.msg import Clock
from sensor_msgs.msg import Image, JointState
from std_msgs.msg import Bool
from std_srvs.srv import Trigger
from tiny_world import TinyWorld

from soft_flow_contract import message_conversion as convert
from soft_flow_contract import topics
from soft_flow_contract.pose import Pose
from soft_flow_contract.task_specification import TaskSpecification
from soft_flow_msgs.msg import ArbiterState, SimulationState, TaskOutcome
from soft_flow_msgs.srv import ResetWorld
from soft_flow_sim.simulator_node import SimulatorNode

TASK_FILE = Path(__file__).parents[3] / "config" / "tasks" / "scissors.yaml"
DT = 50_000_000
SECOND = 1_000_000_000


class Graph:
    """The simulator and a peer that sees all of its topics; `arrivals` is their order."""

    def __init__(self, specification: TaskSpecification, world: dict, **parameters: object) -> None:
        self.specification = specification
        self.context = Context()
        rclpy.init(context=self.context)
        self.world = TinyWorld(specification, **world)
        values = {"task_file": str(TASK_FILE), "lockstep": True, **parameters}
        overrides = [Parameter(name, value=value) for name, value in values.items()]
        self.node = SimulatorNode(lambda *_: self.world, self.context, overrides)
        self.peer = rclpy.create_node("peer", context=self.context)
        self.arrivals: list[tuple[str, int]] = []
        self.outcomes: list[TaskOutcome] = []
        self.poses: list[PoseStamped] = []
        self.clock: list[int] = []
        subscriptions = self._subscribe()
        self.arm = self.peer.create_publisher(PoseStamped, topics.ARM_TARGET_POSE, topics.COMMAND)
        self.hand = self.peer.create_publisher(JointState, topics.HAND_TARGET_JOINT, topics.COMMAND)
        self.stop = self.peer.create_publisher(Bool, topics.EMERGENCY_STOP_STATE, topics.STATE)
        self.arbiter = self.peer.create_publisher(ArbiterState, topics.ARBITER_STATE, topics.STATE)
        self.reset_client = self.peer.create_client(ResetWorld, topics.SIMULATION_RESET)
        self.start_client = self.peer.create_client(Trigger, topics.SIMULATION_START)
        self.executor = SingleThreadedExecutor(context=self.context)
        self.executor.add_node(self.node)
        self.executor.add_node(self.peer)
        self.until(lambda: not self.node._readiness.missing(), "simulator matched")
        self.until(lambda: all(s.get_publisher_count() for s in subscriptions), "peer matched")
        self.until(self.reset_client.service_is_ready, "reset offered")
        self.until(self.start_client.service_is_ready, "start offered")

    def _subscribe(self) -> list:
        def note(topic: str) -> Callable[[object], None]:
            return lambda m: self.arrivals.append((topic, convert.to_nanoseconds(m.header.stamp)))

        create = self.peer.create_subscription
        quality = topics.sensor(self.node.parameters.lockstep)
        create(Clock, topics.CLOCK, lambda m: self.clock.append(convert.to_nanoseconds(m.clock)), 100)
        cameras = [topics.camera_image(name) for name in self.specification.camera_names]
        return [
            create(TaskOutcome, topics.TASK_OUTCOME, self.outcomes.append, topics.RECORDED),
            create(PoseStamped, topics.ARM_CURRENT_POSE, self.poses.append, quality),
            create(SimulationState, topics.SIMULATION_STATE, note("truth"), topics.RECORDED),
            create(JointState, topics.ARM_JOINT_STATES, note("arm"), quality),
            create(JointState, topics.HAND_JOINT_STATES, note("hand"), quality),
            *(create(Image, topic, note(topic), quality) for topic in cameras),
        ]

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

    def call(self, client: object, request: object) -> object:
        future = client.call_async(request)
        self.until(future.done, f"answer of {client.srv_name}")
        return future.result()

    def reset(self, seed: int = 0, episode: str = "episode") -> int:
        response = self.call(self.reset_client, ResetWorld.Request(episode_id=episode, seed=seed))
        assert response.success, response.message
        return convert.to_nanoseconds(response.start)

    def start(self) -> Trigger.Response:
        return self.call(self.start_client, Trigger.Request())

    def command(self, stamp_ns: int, x: float = 0.5) -> None:
        pose = Pose(np.array([x, 0.0, 0.3]), np.array([0.0, 0.0, 0.0, 1.0]))
        self.arm.publish(convert.to_pose_stamped(pose, stamp_ns))
        names = self.specification.hand_joint_names
        self.hand.publish(convert.to_joint_state(names, np.zeros(17), stamp_ns))

    def wait_for_tick(self, stamp_ns: int) -> None:
        last = topics.camera_image(self.specification.camera_names[-1])
        self.until(lambda: (last, stamp_ns) in self.arrivals, f"samples of tick {stamp_ns}")


@pytest.fixture
def make_graph(specification: TaskSpecification) -> Iterator[Callable[..., Graph]]:
    graphs: list[Graph] = []

    def make(world: dict | None = None, **parameters: object) -> Graph:
        graphs.append(Graph(specification, world or {}, **parameters))
        return graphs[-1]

    yield make
    for graph in graphs:
        graph.close()


def test_lockstep_publishes_a_tick_and_stands_still_until_both_commands_of_it_have_come(
    make_graph: Callable[..., Graph],
) -> None:
    graph = make_graph()
    start = graph.reset()
    assert start == SECOND
    assert graph.start().success
    graph.wait_for_tick(start)
    graph.command(start - DT)  # of another tick: no answer
    graph.arm.publish(convert.to_pose_stamped(Pose(np.zeros(3), np.array([0, 0, 0, 1.0])), start))
    graph.until(lambda: graph.node._commands.missing(start) == ["hand"], "the arm's command taken")
    assert graph.outcomes == [] and {stamp for _, stamp in graph.arrivals} == {start}
    graph.command(start)
    graph.wait_for_tick(start + DT)
    graph.until(lambda: len(graph.outcomes) == 1, "outcome")
    assert convert.to_nanoseconds(graph.outcomes[0].header.stamp) == start + DT
    per_tick = [topic for topic, stamp in graph.arrivals if stamp == start + DT]
    cameras = [topics.camera_image(name) for name in graph.specification.camera_names]
    assert sorted(per_tick) == sorted(["truth", "arm", "hand", *cameras])


def test_stamps_never_go_backwards_over_resets(make_graph: Callable[..., Graph]) -> None:
    graph = make_graph()
    starts = []
    for episode in ("a", "b", "c"):
        starts.append(graph.reset(episode=episode))
        graph.start()
        graph.wait_for_tick(starts[-1])
        graph.command(starts[-1])
        graph.wait_for_tick(starts[-1] + DT)
    assert starts == [SECOND, 3 * SECOND, 5 * SECOND]
    stamps = [stamp for topic, stamp in graph.arrivals if topic == "arm"]
    assert stamps == sorted(set(stamps)) and graph.clock == sorted(set(graph.clock))


def test_after_the_final_tick_the_answer_is_taken_and_the_world_stands_still(
    make_graph: Callable[..., Graph],
) -> None:
    graph = make_graph({"cut_at": 1})
    start = graph.reset()
    graph.start()
    graph.wait_for_tick(start)
    graph.command(start)
    graph.wait_for_tick(start + DT)
    graph.until(lambda: len(graph.outcomes) == 1, "outcome")
    outcome = graph.outcomes[0]
    assert outcome.terminal and outcome.success and outcome.valid and outcome.reward == 1
    assert dict(zip(outcome.flag_names, outcome.flags, strict=True)) == {"grasped": True, "cut": True}
    graph.command(start + DT)
    graph.until(lambda: not graph.node._commands.missing(start + DT), "final answer")
    assert graph.world.ticks == 1
    refused = graph.start()
    assert not refused.success and "reset" in refused.message


def test_a_silent_arbiter_ends_the_episode_as_invalid_and_is_named(make_graph: Callable[..., Graph]) -> None:
    graph = make_graph(stall_limit=0.2)
    graph.arbiter.publish(ArbiterState(waiting_for="policy/action_chunk"))
    start = graph.reset()
    graph.until(lambda: graph.node._pace.waits_on_arbiter_for != "", "the arbiter's state")
    graph.start()
    graph.until(lambda: len(graph.outcomes) == 1, "outcome")
    outcome = graph.outcomes[0]
    assert not outcome.valid and "command arbiter" in outcome.reason
    assert "policy/action_chunk" in outcome.reason
    assert convert.to_nanoseconds(outcome.header.stamp) == start + DT
    assert graph.node.status().level == DiagnosticStatus.ERROR
    graph.reset()
    assert graph.node.status().level == DiagnosticStatus.OK


def test_a_diverged_world_gives_an_invalid_outcome_and_an_error_and_no_further_samples(
    make_graph: Callable[..., Graph],
) -> None:
    graph = make_graph({"diverge_at": 1})
    start = graph.reset()
    graph.start()
    graph.wait_for_tick(start)
    graph.command(start)
    graph.until(lambda: len(graph.outcomes) == 1, "outcome")
    assert not graph.outcomes[0].valid and "diverged" in graph.outcomes[0].reason
    assert graph.node.status().level == DiagnosticStatus.ERROR
    assert "diverged" in graph.node.status().message
    assert {stamp for _, stamp in graph.arrivals} == {start}


def test_an_emergency_stopped_robot_holds_whatever_is_commanded(make_graph: Callable[..., Graph]) -> None:
    graph = make_graph()
    graph.stop.publish(Bool(data=True))
    graph.until(lambda: graph.node.cell.emergency_stopped, "emergency stop")
    start = graph.reset(seed=7)
    graph.start()
    graph.wait_for_tick(start)
    graph.command(start, x=0.8)
    graph.wait_for_tick(start + DT)
    graph.until(lambda: len(graph.poses) >= 2, "poses")
    assert graph.poses[-1].pose.position.x == pytest.approx(0.4)


def test_real_time_ticks_without_commands_and_takes_them_when_they_come(
    make_graph: Callable[..., Graph],
) -> None:
    graph = make_graph(lockstep=False, realtime_factor=4.0)
    start = graph.reset(seed=2)
    assert graph.start().success
    graph.until(lambda: len(graph.outcomes) >= 3, "three outcomes without a command")
    graph.command(graph.clock[-1] // DT * DT + DT, x=0.6)
    graph.until(lambda: graph.poses[-1].pose.position.x == pytest.approx(0.6), "the command's effect")
    stamps = [convert.to_nanoseconds(outcome.header.stamp) for outcome in graph.outcomes]
    assert stamps == [start + DT * (k + 1) for k in range(len(stamps))]
    assert graph.clock == sorted(set(graph.clock))
    phase = graph.specification.phase_ns
    assert {stamp % DT for stamp in graph.clock} == {0, phase}
