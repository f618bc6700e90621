"""Clock, cameras and oracle of the world that drivers move."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import rclpy
from domain_coordinator import domain_id
from rclpy.context import Context
from rclpy.executors import SingleThreadedExecutor
from rclpy.node import Node
from rclpy.parameter import Parameter
from rosgraph_msgs.msg import Clock
from sensor_msgs.msg import Image
from world_process import TASK_FILE, World, running_world

from soft_flow_contract import topics
from soft_flow_contract.graph_node import STEADY
from soft_flow_contract.message_conversion import from_image_message, to_nanoseconds
from soft_flow_msgs.msg import SimulationState, TaskOutcome
from soft_flow_msgs.srv import ResetWorld
from soft_flow_sim.protocol.protocol_simulator_node import ProtocolSimulatorNode
from soft_flow_sim.shared_world import SharedWorldError

DT = 50_000_000


class Cell:
    """The node of a running world, and what it publishes."""

    def __init__(self, world: World, domain: int) -> None:
        self.context = Context()
        rclpy.init(context=self.context, domain_id=domain)
        values = {"task_file": str(TASK_FILE), "folder": str(world.folder), "cameras": "external"}
        overrides = [Parameter(name, value=value) for name, value in values.items()]
        self.node = ProtocolSimulatorNode(self.context, overrides)
        self.peer = Node("peer", context=self.context)
        self.executor = SingleThreadedExecutor(context=self.context)
        self.executor.add_node(self.node)
        self.executor.add_node(self.peer)
        self.clock: list[Clock] = []
        self.images: list[Image] = []
        self.states: list[SimulationState] = []
        self.outcomes: list[TaskOutcome] = []
        for kind, topic, sink, quality in (
            (Clock, topics.CLOCK, self.clock, 10),
            (Image, topics.camera_image("external"), self.images, topics.sensor(False)),
            (SimulationState, topics.SIMULATION_STATE, self.states, topics.RECORDED),
            (TaskOutcome, topics.TASK_OUTCOME, self.outcomes, topics.RECORDED),
        ):
            self.peer.create_subscription(kind, topic, sink.append, quality)

    def spin_until(self, happened: Any, limit: float = 30.0) -> None:
        end = STEADY.now().nanoseconds + limit * 1e9
        while not happened():
            self.executor.spin_once(timeout_sec=0.2)
            assert STEADY.now().nanoseconds < end, "it never happened"

    def close(self) -> None:
        for node in (self.node, self.peer):
            self.executor.remove_node(node)
            node.destroy_node()
        rclpy.try_shutdown(context=self.context)


@pytest.fixture(scope="module")
def cell(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cell]:
    with running_world(tmp_path_factory.mktemp("world")) as world, domain_id() as domain:
        cell = Cell(world, domain)
        yield cell
        cell.close()


def test_the_clock_goes_in_quarters_of_a_tick_and_never_back(cell: Cell) -> None:
    cell.spin_until(lambda: len(cell.clock) > 20)
    stamps = [to_nanoseconds(message.clock) for message in cell.clock]
    assert all(stamp % (DT // 4) == 0 for stamp in stamps)
    assert stamps == sorted(set(stamps))


def test_cameras_show_the_world_with_the_stamp_of_what_they_show(cell: Cell) -> None:
    cell.spin_until(lambda: len(cell.images) > 3)
    image = from_image_message(cell.images[-1])
    assert image.shape == (84, 84, 3) and image.std() > 5
    stamps = [to_nanoseconds(message.header.stamp) for message in cell.images]
    assert stamps == sorted(set(stamps))
    assert stamps[-1] <= to_nanoseconds(cell.clock[-1].clock) + DT


def test_a_silent_camera_publishes_nothing_until_it_is_heard_again(cell: Cell) -> None:
    cell.node.set_parameters([Parameter("silent_cameras", value="external")])
    seen = len(cell.clock)
    cell.spin_until(lambda: len(cell.clock) > seen + 12)
    silent = len(cell.images)
    cell.spin_until(lambda: len(cell.clock) > seen + 40)
    assert len(cell.images) == silent
    cell.node.set_parameters([Parameter("silent_cameras", value="")])
    cell.spin_until(lambda: len(cell.images) > silent)


def test_an_episode_is_laid_out_and_judged_tick_by_tick(cell: Cell) -> None:
    client = cell.peer.create_client(ResetWorld, topics.SIMULATION_RESET)
    cell.spin_until(client.service_is_ready)
    future = client.call_async(ResetWorld.Request(seed=3, episode_id="here", grasp_assist=True))
    cell.spin_until(future.done)
    assert future.result().success
    start = to_nanoseconds(future.result().start)
    cell.spin_until(lambda: len([o for o in cell.outcomes if o.episode_id == "here"]) > 4)
    stamps = [to_nanoseconds(o.header.stamp) for o in cell.outcomes if o.episode_id == "here"]
    assert stamps[0] == start + DT and np.all(np.diff(stamps) == DT)
    state = [state for state in cell.states if state.episode_id == "here"][-1]
    assert state.seed == 3 and "scissors_x" in state.names


def test_without_a_world_it_says_so(tmp_path: Path) -> None:
    context = Context()
    rclpy.init(context=context)
    values = {"task_file": str(TASK_FILE), "folder": str(tmp_path), "world_timeout": 1.0}
    with pytest.raises(SharedWorldError, match="is the simulated world running"):
        ProtocolSimulatorNode(context, [Parameter(name, value=value) for name, value in values.items()])
    rclpy.try_shutdown(context=context)
