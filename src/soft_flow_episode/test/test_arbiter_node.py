"""The arbiter node in-process."""

from pathlib import Path
from typing import Any

import pytest
from diagnostic_msgs.msg import DiagnosticStatus
from fake_cell import FakePolicy, Graph, observation_data, overrides
from geometry_msgs.msg import PoseStamped
from rclpy.node import Node
from rosgraph_msgs.msg import Clock
from sensor_msgs.msg import JointState
from std_msgs.msg import Bool
from std_srvs.srv import Trigger

from soft_flow_contract import topics
from soft_flow_contract.message_conversion import to_nanoseconds, to_observation_message, to_time
from soft_flow_contract.task_specification import TaskSpecification
from soft_flow_episode.command_arbiter_node import CommandArbiterNode
from soft_flow_msgs.msg import ArbiterState, DriverState, ExecutedAction, Observation
from soft_flow_msgs.srv import SetMode

DT = 50_000_000
START = 20 * DT


class Robot:
    """The other side of the arbiter's topics."""

    def __init__(
        self, graph: Graph, tmp_path: Path, specification: TaskSpecification, **parameters: Any
    ) -> None:
        self.graph, self.specification = graph, specification
        values = {"latch_file": str(tmp_path / "latch.json"), "lockstep": True, **parameters}
        self.arbiter = graph.add(CommandArbiterNode(graph.context, overrides(**values)))
        self.node = graph.add(Node("robot", context=graph.context))
        self.arm: list[PoseStamped] = []
        self.hand: list[JointState] = []
        self.executed: list[ExecutedAction] = []
        self.states: list[ArbiterState] = []
        self.stopped: list[Bool] = []
        for kind, topic, sink, quality in (
            (PoseStamped, topics.ARM_TARGET_POSE, self.arm, topics.RECORDED),
            (JointState, topics.HAND_TARGET_JOINT, self.hand, topics.RECORDED),
            (ExecutedAction, topics.EXECUTED_ACTION, self.executed, topics.RECORDED),
            (ArbiterState, topics.ARBITER_STATE, self.states, topics.STATE),
            (Bool, topics.EMERGENCY_STOP_STATE, self.stopped, topics.STATE),
        ):
            self.node.create_subscription(kind, topic, sink.append, quality)
        self.observations = self.node.create_publisher(Observation, topics.OBSERVATION, topics.OBSERVATIONS)
        self.clock = self.node.create_publisher(Clock, topics.CLOCK, 10)
        graph.spin_until(self._matched)

    def _matched(self) -> bool:
        counts = [
            self.node.count_publishers(name) for name in (topics.ARM_TARGET_POSE, topics.EXECUTED_ACTION)
        ]
        return (
            bool(self.states and self.stopped and all(counts))
            and self.observations.get_subscription_count() > 0
        )

    def observe(self, tick: int, corrupt: bool = False) -> None:
        message = to_observation_message(
            observation_data(self.specification, START + tick * DT), self.specification
        )
        if corrupt:
            message.proprioception[self.specification.proprioception_slices["flange_position"].start] = float(
                "nan"
            )
        self.observations.publish(message)

    def answers(self, count: int) -> list[ExecutedAction]:
        self.graph.spin_until(lambda: min(map(len, (self.executed, self.arm, self.hand))) >= count)
        return self.executed

    def set_mode(self, mode: int, start_ns: int = START) -> SetMode.Response:
        request = SetMode.Request(mode=mode, epoch_start=to_time(start_ns))
        return self.graph.call(SetMode, topics.SET_MODE, request)

    def pass_time(self, now_ns: int) -> None:
        self.clock.publish(Clock(clock=to_time(now_ns)))
        self.graph.spin_until(lambda: self.arbiter.get_clock().now().nanoseconds == now_ns)


def test_lockstep_answers_every_observation_once_with_its_stamp(
    graph: Graph, tmp_path: Path, specification: TaskSpecification
) -> None:
    robot = Robot(graph, tmp_path, specification)
    for tick in range(3):
        robot.observe(tick)
        robot.answers(tick + 1)
    expected = [START + tick * DT for tick in range(3)]
    for messages in (robot.arm, robot.hand, robot.executed):
        assert [to_nanoseconds(message.header.stamp) for message in messages] == expected
    assert all(message.held and not message.missed_deadline for message in robot.executed)
    assert list(robot.hand[0].name) == list(specification.hand_joint_names)


def test_a_corrupt_observation_is_held_and_reported_in_the_diagnostics(
    graph: Graph, tmp_path: Path, specification: TaskSpecification
) -> None:
    robot = Robot(graph, tmp_path, specification)
    robot.set_mode(ArbiterState.MODE_POLICY)
    robot.set_mode(ArbiterState.MODE_HOLD, 0)
    robot.observe(0)
    robot.answers(1)
    robot.set_mode(ArbiterState.MODE_POLICY)
    robot.observe(1, corrupt=True)
    last = robot.answers(2)[-1]
    assert last.held and last.missed_deadline
    status = robot.arbiter.status()
    assert status.level == DiagnosticStatus.WARN and "flange_position" in status.message
    assert {"invalid observations": "1", "missed": "1"}.items() <= {
        v.key: v.value for v in status.values
    }.items()


def test_an_observation_of_another_specification_is_refused(
    graph: Graph, tmp_path: Path, specification: TaskSpecification
) -> None:
    robot = Robot(graph, tmp_path, specification)
    robot.observe(0)
    robot.answers(1)
    message = to_observation_message(observation_data(specification, START + DT), specification)
    message.specification_hash = "of another task"
    robot.set_mode(ArbiterState.MODE_POLICY)
    robot.observations.publish(message)
    assert robot.answers(2)[-1].missed_deadline


def test_an_observation_with_a_stale_source_is_refused(
    graph: Graph, tmp_path: Path, specification: TaskSpecification
) -> None:
    robot = Robot(graph, tmp_path, specification)
    robot.observe(0)
    robot.answers(1)
    robot.set_mode(ArbiterState.MODE_POLICY)
    data = observation_data(specification, START + DT)
    robot.observations.publish(to_observation_message(data, specification, oldest_age_ns=130_000_000))
    last = robot.answers(2)[-1]
    assert last.held and last.missed_deadline
    assert "0.130 s old" in robot.arbiter.status().message


def test_a_second_sender_of_commands_is_reported(
    graph: Graph, tmp_path: Path, specification: TaskSpecification
) -> None:
    robot = Robot(graph, tmp_path, specification)
    assert robot.arbiter.status().level == DiagnosticStatus.OK
    robot.node.create_publisher(PoseStamped, topics.ARM_TARGET_POSE, topics.COMMAND)
    graph.spin_until(lambda: robot.arbiter.status().level == DiagnosticStatus.ERROR)
    assert "another node sends commands" in robot.arbiter.status().message


def test_an_emergency_stop_is_latched_published_and_survives_a_restart(
    graph: Graph, tmp_path: Path, specification: TaskSpecification
) -> None:
    robot = Robot(graph, tmp_path, specification)
    robot.set_mode(ArbiterState.MODE_POLICY)
    robot.observe(0)
    assert graph.call(Trigger, topics.EMERGENCY_STOP, Trigger.Request()).success
    assert robot.answers(1)[0].held, "what was waited for is answered with a hold"
    graph.spin_until(lambda: robot.stopped[-1].data and robot.states[-1].emergency_stopped)
    graph.remove(robot.arbiter)
    graph.spin_until(lambda: robot.observations.get_subscription_count() == 0)
    again = Robot(graph, tmp_path, specification)
    assert again.stopped[0].data and not again.states[0].armed
    refused = again.set_mode(ArbiterState.MODE_POLICY)
    assert not refused.success and "emergency_reset" in refused.message
    assert again.arbiter.status().level == DiagnosticStatus.ERROR
    assert graph.call(Trigger, topics.EMERGENCY_RESET, Trigger.Request()).success
    graph.spin_until(lambda: not again.stopped[-1].data)
    assert again.set_mode(ArbiterState.MODE_POLICY).success


def test_an_unknown_mode_is_refused(graph: Graph, tmp_path: Path, specification: TaskSpecification) -> None:
    robot = Robot(graph, tmp_path, specification)
    answer = robot.set_mode(9)
    assert not answer.success and "unknown mode 9" in answer.message


def test_real_time_releases_a_command_at_the_phase_of_each_tick_of_the_simulated_clock(
    graph: Graph, tmp_path: Path, specification: TaskSpecification
) -> None:
    robot = Robot(graph, tmp_path, specification, lockstep=False, use_sim_time=True)
    graph.add(FakePolicy(graph.context))
    phase = specification.phase_ns
    robot.pass_time(START - DT)
    robot.set_mode(ArbiterState.MODE_POLICY)
    graph.spin_until(lambda: robot.arbiter.arbiter.armed)
    chunks = graph_counter(robot)
    for tick in range(4):
        robot.pass_time(START + tick * DT)
        robot.observe(tick)
        graph.spin_until(
            lambda tick=tick: robot.arbiter.arbiter.answer is not None and chunks() >= START + tick * DT
        )
        assert len(robot.executed) == tick, "nothing is released before the phase"
        robot.pass_time(START + tick * DT + phase)
        last = robot.answers(tick + 1)[-1]
        assert to_nanoseconds(last.header.stamp) == START + tick * DT
        assert last.latency == pytest.approx(phase * 1e-9)


def graph_counter(robot: Robot) -> Any:
    """Stamp of the newest heartbeat, which follows the chunk of the same observation or needs none."""
    from soft_flow_msgs.msg import PolicyHeartbeat

    stamps = [0]
    robot.node.create_subscription(
        PolicyHeartbeat,
        topics.POLICY_HEARTBEAT,
        lambda message: stamps.append(to_nanoseconds(message.header.stamp)),
        topics.RECORDED,
    )
    return lambda: stamps[-1]


def test_real_time_flags_a_missed_deadline_and_stops_after_the_limit(
    graph: Graph, tmp_path: Path, specification: TaskSpecification
) -> None:
    robot = Robot(graph, tmp_path, specification, lockstep=False, use_sim_time=True)
    robot.pass_time(START - DT)
    robot.observe(-1)
    robot.set_mode(ArbiterState.MODE_POLICY)
    limit = specification.timing.missed_limit
    for tick in range(limit + 1):
        robot.pass_time(START + tick * DT + specification.phase_ns)
        robot.answers(tick + 1)
    assert [message.missed_deadline for message in robot.executed] == [True] * limit + [False]
    assert all(message.held for message in robot.executed)
    graph.spin_until(lambda: not robot.states[-1].armed and "in a row" in robot.states[-1].waiting_for)


def test_ticks_that_were_slept_through_are_published_as_missed(
    graph: Graph, tmp_path: Path, specification: TaskSpecification
) -> None:
    robot = Robot(graph, tmp_path, specification, lockstep=False, use_sim_time=True)
    robot.pass_time(START - DT)
    robot.observe(-1)
    graph.spin_until(lambda: robot.arbiter.arbiter.answer(START - DT, True) is not None)
    robot.set_mode(ArbiterState.MODE_POLICY)
    robot.pass_time(START - DT + specification.phase_ns)
    robot.answers(1)
    robot.pass_time(START + 3 * DT + specification.phase_ns)
    graph.spin_until(lambda: len(robot.executed) == 5)
    stamps = [to_nanoseconds(message.header.stamp) for message in robot.executed]
    assert stamps == [START + tick * DT for tick in range(-1, 4)]
    assert len(robot.arm) == 2


def test_the_age_of_a_drivers_states_is_asked_at_every_release(
    graph: Graph, tmp_path: Path, specification: TaskSpecification
) -> None:
    watch = {"drivers": "hand", "state_max_age": 0.04}
    robot = Robot(graph, tmp_path, specification, lockstep=False, use_sim_time=True, **watch)
    driver = robot.node.create_publisher(DriverState, topics.HAND_DRIVER_STATE, topics.STATE)
    states = robot.node.create_publisher(JointState, topics.HAND_JOINT_STATES, topics.sensor(False))
    driver.publish(DriverState(state=DriverState.READY))
    graph.spin_until(lambda: not robot.arbiter.arbiter.driver_problem and states.get_subscription_count() > 0)
    robot.pass_time(START)
    robot.set_mode(ArbiterState.MODE_POLICY)
    robot.observe(0)
    graph.spin_until(lambda: robot.arbiter.arbiter.measured is not None)

    def reason_of(tick: int, state_ns: int) -> str:
        state = JointState()
        state.header.stamp = to_time(state_ns)
        states.publish(state)
        graph.spin_until(lambda: robot.arbiter.arbiter.freshness.problem(state_ns) == "")
        robot.pass_time(START + tick * DT + specification.phase_ns)
        robot.answers(tick + 1)
        return str(robot.arbiter.status().message)

    assert topics.HAND_JOINT_STATES in reason_of(0, START - 30_000_000)
    assert "no policy heartbeat" in reason_of(1, START + DT)
