"""The node in-process, with a device of the test."""

from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import ClassVar

import numpy as np
import pytest
import rclpy
from diagnostic_msgs.msg import DiagnosticStatus
from domain_coordinator import domain_id
from rclpy.context import Context
from rclpy.executors import SingleThreadedExecutor
from rclpy.node import Node
from rclpy.parameter import Parameter
from typing_extensions import Self

from soft_flow_contract import topics
from soft_flow_contract.graph_node import STEADY
from soft_flow_contract.message_conversion import header, to_nanoseconds, to_observation_message
from soft_flow_contract.steps import ObservationData
from soft_flow_contract.task_specification import TaskSpecification
from soft_flow_msgs.msg import Action, EpisodeState, Observation, SimulationState
from soft_flow_teleop.device import DeviceAction, DeviceError, Moment, TeleopDevice
from soft_flow_teleop.teleop_node import TeleopNode

DT = 50_000_000


class RecordingDevice(TeleopDevice):
    """Remembers what it was told, and answers with half its seed."""

    opened: ClassVar[list["RecordingDevice"]] = []

    def __init__(self, options: Mapping[str, str]) -> None:
        self.options = options
        self.episodes: list[tuple[str, int]] = []
        self.moments: list[Moment] = []
        self.values = np.full(23, 0.5)
        self.deadman, self.closed = True, False
        RecordingDevice.opened.append(self)

    @classmethod
    def open(cls, specification: TaskSpecification, options: Mapping[str, str]) -> Self:
        return cls(options)

    def reset(self, episode_id: str, seed: int) -> None:
        self.episodes.append((episode_id, seed))

    def read(self, moment: Moment) -> DeviceAction:
        self.moments.append(moment)
        return DeviceAction(self.values, self.deadman)

    def close(self) -> None:
        self.closed = True


class SimulationDevice(RecordingDevice):
    wants_simulation_state = True


class Bench:
    """The node and the other side of its topics."""

    def __init__(self, device: type[TeleopDevice], task_file: Path, domain: int, options: str = "") -> None:
        self.context = Context()
        rclpy.init(context=self.context, domain_id=domain)
        overrides = [Parameter("task_file", value=str(task_file)), Parameter("device_options", value=options)]
        self.node = TeleopNode(self.context, overrides, lambda name: device)
        self.device = RecordingDevice.opened[-1]
        self.peer = Node("peer", context=self.context)
        self.actions: list[Action] = []
        self.peer.create_subscription(Action, topics.TELEOP_ACTION, self.actions.append, topics.RECORDED)
        self.observations = self.peer.create_publisher(Observation, topics.OBSERVATION, topics.OBSERVATIONS)
        self.states = self.peer.create_publisher(
            SimulationState, topics.SIMULATION_STATE, topics.OBSERVATIONS
        )
        self.episodes = self.peer.create_publisher(EpisodeState, topics.EPISODE_STATE, topics.STATE)
        self.executor = SingleThreadedExecutor(context=self.context)
        self.executor.add_node(self.node)
        self.executor.add_node(self.peer)
        self.spin_until(lambda: self.peer.count_publishers(topics.TELEOP_ACTION) > 0)
        self.spin_until(lambda: self.observations.get_subscription_count() > 0)

    def spin_until(self, happened: Callable[[], bool]) -> None:
        end = STEADY.now().nanoseconds + 20 * 10**9
        while not happened():
            self.executor.spin_once(timeout_sec=0.2)
            assert STEADY.now().nanoseconds < end, "it never happened"

    def close(self) -> None:
        self.executor.shutdown()
        self.node.destroy_node()
        self.peer.destroy_node()
        rclpy.try_shutdown(context=self.context)


@pytest.fixture
def make_bench(task_file: Path) -> Iterator[Callable[..., Bench]]:
    benches = []
    with domain_id() as domain:

        def make(device: type[TeleopDevice], options: str = "") -> Bench:
            benches.append(Bench(device, task_file, domain, options))
            return benches[-1]

        yield make
        for bench in benches:
            bench.close()


def observation(specification: TaskSpecification, tick: int, **fields: object) -> Observation:
    values: dict = {name: 0.0 for name in specification.proprioception_slices}
    values |= {"flange_rotation": [1, 0, 0, 0, 1, 0], "arm_target_rotation": [1, 0, 0, 0, 1, 0], **fields}
    images = {
        camera.name: np.zeros((camera.height, camera.width, 3), np.uint8)
        for camera in specification.observation.cameras
    }
    data = ObservationData(tick * DT, specification.assemble_proprioception(values), images)
    return to_observation_message(data, specification)


def state(tick: int, seed: int = 3, episode_id: str = "e") -> SimulationState:
    message = SimulationState(header=header(tick * DT), episode_id=episode_id, seed=seed)
    message.names, message.values = ["scissors_x"], [float(tick)]
    return message


def test_an_action_is_stamped_with_its_tick_and_names_its_source(
    make_bench: Callable[..., Bench], specification: TaskSpecification
) -> None:
    bench = make_bench(RecordingDevice, "port=1, side = left")
    assert bench.device.options == {"port": "1", "side": "left"}
    bench.observations.publish(
        observation(specification, 7, flange_position=[0.1, 0, 0], arm_target_position=[0.2, 0, 0])
    )
    bench.spin_until(lambda: bool(bench.actions))
    action = bench.actions[0]
    assert to_nanoseconds(action.header.stamp) == 7 * DT
    assert action.deadman and action.source == "scripted"
    np.testing.assert_array_equal(action.values, 0.5)
    moment = bench.device.moments[0]
    assert moment.measured.flange_in_base.position[0] == pytest.approx(0.1)
    assert moment.target.flange_in_base.position[0] == pytest.approx(0.2)
    assert moment.simulation == {}


def test_a_released_deadman_is_passed_on(
    make_bench: Callable[..., Bench], specification: TaskSpecification
) -> None:
    bench = make_bench(RecordingDevice)
    bench.device.deadman = False
    bench.observations.publish(observation(specification, 1))
    bench.spin_until(lambda: bool(bench.actions))
    assert not bench.actions[0].deadman


def test_observation_and_simulation_state_are_joined_on_equal_stamps(
    make_bench: Callable[..., Bench], specification: TaskSpecification
) -> None:
    bench = make_bench(SimulationDevice)
    bench.spin_until(lambda: bench.states.get_subscription_count() > 0)
    bench.states.publish(state(1))
    bench.observations.publish(observation(specification, 2))
    bench.states.publish(state(2))
    bench.spin_until(lambda: bool(bench.actions))
    assert [moment.stamp_ns for moment in bench.device.moments] == [2 * DT]
    assert bench.device.moments[0].simulation == {"scissors_x": 2.0}


def test_the_device_is_reset_once_for_each_episode_with_its_seed(
    make_bench: Callable[..., Bench], specification: TaskSpecification
) -> None:
    bench = make_bench(SimulationDevice)
    bench.spin_until(lambda: bench.states.get_subscription_count() > 0)
    for tick, episode in enumerate(["e", "e", "f"], start=1):
        bench.states.publish(state(tick, seed=ord(episode), episode_id=episode))
        bench.observations.publish(observation(specification, tick))
        bench.spin_until(lambda tick=tick: len(bench.actions) == tick)
    assert bench.device.episodes == [("e", ord("e")), ("f", ord("f"))]


def test_a_device_of_the_real_world_is_reset_when_an_episode_runs(make_bench: Callable[..., Bench]) -> None:
    bench = make_bench(RecordingDevice)
    bench.episodes.publish(EpisodeState(state=EpisodeState.PREPARING, episode_id="e", seed=4))
    bench.episodes.publish(EpisodeState(state=EpisodeState.RUNNING, episode_id="e", seed=4))
    bench.spin_until(lambda: bool(bench.device.episodes))
    assert bench.device.episodes == [("e", 4)]


@pytest.mark.parametrize("values", [np.full(23, np.nan), np.zeros(22)])
def test_a_broken_action_is_not_sent_but_reported(
    make_bench: Callable[..., Bench], specification: TaskSpecification, values: np.ndarray
) -> None:
    bench = make_bench(RecordingDevice)
    bench.device.values = values
    bench.observations.publish(observation(specification, 1))
    bench.spin_until(lambda: bench.node.status().level == DiagnosticStatus.ERROR)
    assert not bench.actions and "action:" in bench.node.status().message
    bench.device.values = np.zeros(23)
    bench.observations.publish(observation(specification, 2))
    bench.spin_until(lambda: bool(bench.actions))
    assert bench.node.status().level == DiagnosticStatus.OK


def test_the_device_is_let_go_when_the_node_ends(make_bench: Callable[..., Bench]) -> None:
    bench = make_bench(RecordingDevice)
    bench.node.destroy_node()
    assert bench.device.closed


def test_an_unknown_device_keeps_the_node_from_starting(task_file: Path) -> None:
    with domain_id() as domain:
        context = Context()
        rclpy.init(context=context, domain_id=domain)
        overrides = [Parameter("task_file", value=str(task_file)), Parameter("device", value="mind reader")]
        with pytest.raises(DeviceError, match="unknown teleoperation device 'mind reader'"):
            TeleopNode(context, overrides)
        rclpy.try_shutdown(context=context)
