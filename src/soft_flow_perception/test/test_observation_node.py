"""The node in-process with its own context; a peer plays the drivers and the arbiter."""

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
from sensor_msgs.msg import Image, JointState

from soft_flow_contract import message_conversion as convert
from soft_flow_contract import topics
from soft_flow_contract.errors import ContractError
from soft_flow_contract.pose import Pose
from soft_flow_contract.task_specification import TaskSpecification
from soft_flow_msgs.msg import ExecutedAction, Observation
from soft_flow_perception.observation_node import ObservationNode

TASK_FILE = Path(__file__).parents[3] / "config" / "tasks" / "scissors.yaml"
DT = 50_000_000
START = 20 * DT
POSE = Pose(np.array([0.4, 0.1, 0.3]), np.array([0.0, 0.0, 0.0, 1.0]))
ARM = [f"fr3_joint{i + 1}" for i in range(7)]


class Cell:
    """The observation node and everything that feeds it."""

    def __init__(self, task: TaskSpecification, **parameters: object) -> None:
        self.task = task
        self.context = Context()
        rclpy.init(context=self.context)
        values = {"task_file": str(TASK_FILE), **parameters}
        self.node = ObservationNode(self.context, [Parameter(name, value=v) for name, v in values.items()])
        self.peer = rclpy.create_node("peer", context=self.context)
        self.observations: list[Observation] = []
        self.peer.create_subscription(
            Observation, topics.OBSERVATION, self.observations.append, topics.OBSERVATIONS
        )
        self.publishers = {
            topic: self.peer.create_publisher(kind, topic, topics.sensor(True))
            for topic, kind in (
                (topics.ARM_JOINT_STATES, JointState),
                (topics.ARM_CURRENT_POSE, PoseStamped),
                (topics.HAND_JOINT_STATES, JointState),
                *((topics.camera_image(name), Image) for name in task.camera_names),
            )
        }
        self.executed = self.peer.create_publisher(ExecutedAction, topics.EXECUTED_ACTION, topics.RECORDED)
        self.executor = SingleThreadedExecutor(context=self.context)
        self.executor.add_node(self.node)
        self.executor.add_node(self.peer)

        def matched() -> bool:
            theirs = [*self.publishers.values(), self.executed]
            return not self.node._readiness.missing() and all(p.get_subscription_count() for p in theirs)

        self.until(matched, "all endpoints matched")

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

    def sample(self, topic: str, stamp_ns: int, size: int = 84, value: float = 0.1) -> None:
        names = self.task.hand_joint_names
        if topic == topics.ARM_JOINT_STATES:
            message = convert.to_joint_state(ARM, np.full(7, value), stamp_ns, np.zeros(7))
        elif topic == topics.ARM_CURRENT_POSE:
            message = convert.to_pose_stamped(POSE, stamp_ns)
        elif topic == topics.HAND_JOINT_STATES:
            message = convert.to_joint_state(names, np.full(17, 0.2), stamp_ns)
        else:
            message = convert.to_image_message(np.full((size, size, 3), 90, np.uint8), stamp_ns, "camera")
        self.publishers[topic].publish(message)

    def sample_all(self, stamp_ns: int, size: int = 84, leave_out: str = "") -> None:
        for topic in self.publishers:
            if topic != leave_out:
                self.sample(topic, stamp_ns, size)

    def wait_for(self, count: int) -> list[Observation]:
        self.until(lambda: len(self.observations) >= count, f"{count} observations")
        return self.observations


@pytest.fixture
def make_cell(specification: TaskSpecification) -> Iterator[Callable[..., Cell]]:
    cells: list[Cell] = []

    def make(**parameters: object) -> Cell:
        cells.append(Cell(specification, **parameters))
        return cells[-1]

    yield make
    for cell in cells:
        cell.close()


def test_lockstep_joins_a_tick_and_waits_for_the_action_of_the_tick_before(
    make_cell: Callable[..., Cell], specification: TaskSpecification
) -> None:
    cell = make_cell(lockstep=True, use_sim_time=True)
    cell.sample_all(START)
    first = cell.wait_for(1)[0]
    assert first.header == convert.header(START)
    data = convert.from_observation_message(first, specification)
    assert [image.format for image in first.images] == ["jpeg"] * 3
    target = specification.proprioception_slices["arm_target_position"]
    np.testing.assert_allclose(data.proprioception[target], POSE.position, atol=1e-6)

    cell.sample_all(START + DT)
    cell.until(lambda: "executed_action" in cell.node.status().message, "waits for the action")
    action = ExecutedAction(header=convert.header(START), executed=[0.5] * 23, hand_target=[0.3] * 17)
    action.arm_target = convert.to_pose_message(POSE.moved(np.array([0.02, 0, 0]), np.zeros(3)))
    cell.executed.publish(action)
    second = convert.from_observation_message(cell.wait_for(2)[1], specification)
    last = specification.proprioception_slices["last_action"]
    np.testing.assert_allclose(second.proprioception[last], 0.5, atol=1e-6)
    np.testing.assert_allclose(second.proprioception[target], [0.42, 0.1, 0.3], atol=1e-6)


def test_a_camera_of_another_size_is_resized_to_the_specification(
    make_cell: Callable[..., Cell], specification: TaskSpecification
) -> None:
    cell = make_cell(lockstep=True, use_sim_time=True)
    cell.sample_all(START, size=240)
    data = convert.from_observation_message(cell.wait_for(1)[0], specification)
    assert {image.shape for image in data.images.values()} == {(84, 84, 3)}


def test_a_value_that_is_not_finite_gives_no_observation_but_an_error_that_names_the_source(
    make_cell: Callable[..., Cell],
) -> None:
    cell = make_cell(lockstep=True, use_sim_time=True)
    cell.sample_all(START, leave_out=topics.ARM_JOINT_STATES)
    cell.sample(topics.ARM_JOINT_STATES, START, value=float("nan"))
    cell.until(lambda: cell.node.status().level == DiagnosticStatus.ERROR, "error")
    assert "arm/joint_states" in cell.node.status().message and "not finite" in cell.node.status().message
    assert cell.observations == []


def test_in_simulated_real_time_a_tick_is_published_as_soon_as_it_is_complete(
    make_cell: Callable[..., Cell],
) -> None:
    cell = make_cell(use_sim_time=True, join_deadline=1.0)
    for tick in range(3):
        cell.sample_all(START + tick * DT)
        cell.wait_for(tick + 1)
    assert [convert.to_nanoseconds(o.header.stamp) for o in cell.observations] == [
        START + tick * DT for tick in range(3)
    ]


def test_in_simulated_real_time_a_lost_image_is_replaced_by_the_last_one_until_it_is_too_old(
    make_cell: Callable[..., Cell],
) -> None:
    camera = topics.camera_image("external")
    cell = make_cell(use_sim_time=True)
    cell.sample_all(START)
    cell.wait_for(1)
    for tick in (1, 2):
        cell.sample_all(START + tick * DT, leave_out=camera)
        observation = cell.wait_for(tick + 1)[tick]
        assert convert.to_nanoseconds(observation.oldest_age) == tick * DT
    cell.sample_all(START + 3 * DT, leave_out=camera)
    cell.until(lambda: cell.node.status().level == DiagnosticStatus.ERROR, "error")
    assert camera in cell.node.status().message and len(cell.observations) == 3


def test_on_hardware_the_nodes_own_tick_publishes_and_names_what_is_missing(
    make_cell: Callable[..., Cell],
) -> None:
    cell = make_cell(robot="hardware", use_sim_time=False)
    cell.until(lambda: cell.node.status().level == DiagnosticStatus.ERROR, "error")
    assert all(topic in cell.node.status().message for topic in cell.publishers)

    def published() -> bool:
        cell.sample_all(cell.peer.get_clock().now().nanoseconds)
        return len(cell.observations) >= 3

    cell.until(published, "three observations")
    stamps = [convert.to_nanoseconds(o.header.stamp) for o in cell.observations]
    assert all(stamp % DT == 0 for stamp in stamps) and sorted(set(stamps)) == stamps


@pytest.mark.parametrize("parameters", [{"use_sim_time": True}, {"use_sim_time": False, "lockstep": True}])
def test_hardware_refuses_simulated_time_and_lockstep(
    specification: TaskSpecification, parameters: dict[str, object]
) -> None:
    with pytest.raises(ContractError, match="robot:=hardware"):
        Cell(specification, robot="hardware", **parameters)
