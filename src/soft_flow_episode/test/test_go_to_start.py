"""The action arbiter/go_to_start, and episodes of a robot that has to be driven there."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from action_msgs.msg import GoalStatus
from episode_graph import bag_messages, bags, log, start_episode
from fake_cell import FakeOperator, Graph, overrides
from following_robot import FollowingRobot
from rclpy.action import ActionClient
from rclpy.serialization import deserialize_message
from std_srvs.srv import Trigger

from soft_flow_contract import topics
from soft_flow_contract.errors import ContractError
from soft_flow_contract.pose import Pose
from soft_flow_contract.robot_cell import RobotCell
from soft_flow_contract.task_specification import TaskSpecification
from soft_flow_episode.command_arbiter_node import CommandArbiterNode
from soft_flow_episode.episode_node import EpisodeNode
from soft_flow_msgs.action import GoToStart
from soft_flow_msgs.msg import DriverState, EpisodeState, Transition
from soft_flow_msgs.srv import EndEpisode

CELL = Path(__file__).parents[3] / "config" / "robots" / "protocol_sim.yaml"
START = RobotCell.load(CELL).start
ELSEWHERE = Pose(np.array([0.55, 0.05, 0.3]), np.array(START.flange.quaternion))


class Cell:
    """An arbiter with drivers and a robot that follows."""

    def __init__(self, graph: Graph, tmp_path: Path, specification: TaskSpecification) -> None:
        self.graph = graph
        self.robot = graph.add(FollowingRobot(graph.context, specification, ELSEWHERE))
        values = {"latch_file": str(tmp_path / "latch.json"), "robot_file": str(CELL), "drivers": "arm,hand"}
        self.arbiter = graph.add(CommandArbiterNode(graph.context, overrides(lockstep=True, **values)))
        self.client = ActionClient(self.robot, GoToStart, topics.GO_TO_START)
        self.feedback: list[Any] = []
        graph.spin_until(lambda: self.robot.matched() and self.client.server_is_ready())

    def ready(self) -> None:
        for name in ("arm", "hand"):
            self.robot.say(name, DriverState.READY)
        self.graph.spin_until(lambda: not self.arbiter.arbiter.driver_problem)
        self.robot.observe()

    def go(self) -> Any:
        sent = self.client.send_goal_async(GoToStart.Goal(), feedback_callback=self.feedback.append)
        self.graph.spin_until(sent.done)
        return sent.result()

    def result(self, goal: Any) -> Any:
        future = goal.get_result_async()
        self.graph.spin_until(future.done)
        return future.result()


@pytest.fixture
def cell(graph: Graph, tmp_path: Path, specification: TaskSpecification) -> Iterator[Cell]:
    cell = Cell(graph, tmp_path, specification)
    yield cell
    cell.client.destroy()  # or the robot would live on, and speak to the next test


def test_it_drives_to_the_start_and_tells_how_far_it_is(cell: Cell) -> None:
    cell.ready()
    answer = cell.result(cell.go())
    assert answer.status == GoalStatus.STATUS_SUCCEEDED and answer.result.success
    assert np.linalg.norm(cell.robot.pose.position - START.flange.position) < 0.02
    distances = [message.feedback.distance for message in cell.feedback]
    assert distances[0] > distances[-1] and len(distances) > 20
    assert not cell.arbiter.arbiter.armed


def test_cancelled_it_stands_still(cell: Cell) -> None:
    cell.ready()
    goal = cell.go()
    cell.graph.spin_until(lambda: len(cell.feedback) > 3)
    cell.graph.spin_until(goal.cancel_goal_async().done)
    assert cell.result(goal).status == GoalStatus.STATUS_CANCELED
    before = len(cell.robot.targets)
    cell.graph.spin_until(lambda: len(cell.robot.targets) > before + 5)
    np.testing.assert_array_equal(cell.robot.targets[-1].position, cell.robot.targets[before].position)


def test_a_blocked_robot_is_given_up_with_a_reason(cell: Cell) -> None:
    cell.robot.blocked = True
    cell.ready()
    answer = cell.result(cell.go())
    assert answer.status == GoalStatus.STATUS_ABORTED
    assert "no progress towards the start" in answer.result.message


def test_an_emergency_stop_ends_it(cell: Cell) -> None:
    cell.ready()
    goal = cell.go()
    cell.graph.spin_until(lambda: len(cell.feedback) > 3)
    cell.graph.call(Trigger, topics.EMERGENCY_STOP, Trigger.Request())
    answer = cell.result(goal)
    assert answer.status == GoalStatus.STATUS_ABORTED and "emergency stop" in answer.result.message


def test_without_its_drivers_it_is_refused_with_the_reason(cell: Cell) -> None:
    cell.ready()
    cell.robot.say("hand", DriverState.FAULT, "the bus is silent")
    cell.graph.spin_until(lambda: bool(cell.arbiter.arbiter.driver_problem))
    answer = cell.result(cell.go())
    assert answer.status == GoalStatus.STATUS_ABORTED and "the bus is silent" in answer.result.message


def test_a_driver_that_fails_on_the_way_ends_it(cell: Cell) -> None:
    cell.ready()
    goal = cell.go()
    cell.graph.spin_until(lambda: len(cell.feedback) > 3)
    cell.robot.say("arm", DriverState.FAULT, "reflex")
    answer = cell.result(goal)
    assert answer.status == GoalStatus.STATUS_ABORTED and "reflex" in answer.result.message


def test_an_episode_of_hardware_begins_at_the_start_and_is_judged_by_hand(cell: Cell, tmp_path: Path) -> None:
    graph = cell.graph
    graph.add(FakeOperator(graph.context))
    values = {"robot": "hardware", "label": "manual", "auto_start": False, "mode": "teleop"}
    node = graph.add(EpisodeNode(graph.context, overrides(output=str(tmp_path / "out"), **values)))
    states: list[EpisodeState] = []
    node.create_subscription(EpisodeState, topics.EPISODE_STATE, states.append, topics.STATE)
    cell.robot.keep_time()
    cell.ready()
    start_episode(graph, seed=5)
    graph.spin_until(lambda: bool(states) and states[-1].state == EpisodeState.RUNNING, limit_s=60)
    assert np.linalg.norm(cell.robot.pose.position - START.flange.position) < 0.02
    graph.spin_until(lambda: node._joiner is not None and node._joiner.steps > 12, limit_s=60)
    assert graph.call(EndEpisode, topics.EPISODE_END, EndEpisode.Request(outcome="success")).success
    graph.spin_until(lambda: bool(bags(tmp_path)))
    messages = [deserialize_message(data, Transition) for data in bag_messages(bags(tmp_path)[0])]
    rewards = [message.reward for message in messages]
    assert rewards[-2] == 1.0 and sum(rewards) == 1.0 and messages[-1].is_terminal
    assert log(tmp_path)[0]["outcome"] == "success"


def test_hardware_with_an_oracle_is_refused(graph: Graph, tmp_path: Path) -> None:
    with pytest.raises(ContractError, match="hardware has no oracle"):
        EpisodeNode(graph.context, overrides(robot="hardware", output=str(tmp_path)))


def test_an_unknown_driver_is_refused_by_name(graph: Graph, tmp_path: Path) -> None:
    values = {"latch_file": str(tmp_path / "latch.json"), "drivers": "arm,leg"}
    with pytest.raises(ContractError, match="leg"):
        CommandArbiterNode(graph.context, overrides(**values))


def test_the_arbiter_is_not_ready_while_a_driver_does_not_follow(cell: Cell) -> None:
    name = "command_arbiter_node/ready"
    answer = cell.graph.call(Trigger, name, Trigger.Request())
    assert not answer.success and "driver has said nothing yet" in answer.message
    cell.ready()
    assert "driver" not in cell.graph.call(Trigger, name, Trigger.Request()).message
