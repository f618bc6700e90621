import numpy as np
import pytest

from soft_flow_contract.action_space import ActionSpace, RobotTarget
from soft_flow_contract.errors import SpecificationError
from soft_flow_contract.pose import Pose
from soft_flow_contract.task_specification import TaskSpecification
from soft_flow_perception.proprioception import Executed, Measured, ProprioceptionAssembler

POSE = Pose(np.array([0.4, 0.1, 0.3]), np.array([0.0, 0.0, np.sqrt(0.5), np.sqrt(0.5)]))
MEASURED = Measured(np.arange(7) / 10, np.arange(7) / 100, POSE, np.linspace(0, 0.4, 17))


def test_every_field_lies_where_the_specification_says(specification: TaskSpecification) -> None:
    target = RobotTarget(POSE.moved(np.array([0.01, 0, 0]), np.zeros(3)), MEASURED.hand_position + 0.1)
    action = np.linspace(-1, 1, 23)
    vector = ProprioceptionAssembler(specification).assemble(MEASURED, Executed(target, action))
    part = {name: vector[place] for name, place in specification.proprioception_slices.items()}
    assert vector.dtype == np.float32 and vector.shape == (specification.proprioception_dimension,)
    np.testing.assert_allclose(part["arm_joint_position"], MEASURED.arm_position, atol=1e-6)
    np.testing.assert_allclose(part["arm_joint_velocity"], MEASURED.arm_velocity, atol=1e-6)
    np.testing.assert_allclose(part["flange_position"], [0.4, 0.1, 0.3], atol=1e-6)
    np.testing.assert_allclose(part["flange_rotation"], [0, 1, 0, -1, 0, 0], atol=1e-6)  # columns of R
    np.testing.assert_allclose(part["hand_joint_position"], MEASURED.hand_position, atol=1e-6)
    np.testing.assert_allclose(part["arm_target_position"], [0.41, 0.1, 0.3], atol=1e-6)
    np.testing.assert_allclose(part["hand_target"], target.hand, atol=1e-6)
    np.testing.assert_allclose(part["last_action"], action, atol=1e-6)


def test_without_an_executed_action_targets_are_measured_and_the_action_holds(
    specification: TaskSpecification,
) -> None:
    vector = ProprioceptionAssembler(specification).assemble(MEASURED, None)
    part = {name: vector[place] for name, place in specification.proprioception_slices.items()}
    np.testing.assert_array_equal(part["arm_target_position"], part["flange_position"])
    np.testing.assert_array_equal(part["arm_target_rotation"], part["flange_rotation"])
    np.testing.assert_array_equal(part["hand_target"], part["hand_joint_position"])
    hold = ActionSpace(specification).hold(MEASURED.hand_position)
    np.testing.assert_allclose(part["last_action"], hold, atol=1e-6)


def test_a_field_that_nothing_measures_is_refused_by_name(specification: TaskSpecification) -> None:
    data = specification.model_dump(mode="json")
    data["observation"]["proprioception"][0]["name"] = "arm_temperature"
    other = TaskSpecification.from_mapping(data, "test")
    with pytest.raises(SpecificationError, match="arm_temperature"):
        ProprioceptionAssembler(other)
