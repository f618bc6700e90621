"""Laws of poses and of the action space."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from scipy.spatial.transform import Rotation

from soft_flow_contract.action_space import ActionSpace, RobotTarget
from soft_flow_contract.errors import ActionError, ObservationError, SpecificationError
from soft_flow_contract.pose import Pose
from soft_flow_contract.robot_state import commanded_state, measured_state, rotation_from_6d
from soft_flow_contract.task_specification import TaskSpecification


def vectors(size: int, bound: float) -> st.SearchStrategy[np.ndarray]:
    return arrays(np.float64, size, elements=st.floats(-bound, bound, allow_subnormal=False))


@st.composite
def poses(draw: st.DrawFn) -> Pose:
    return Pose(draw(vectors(3, 1.0)), Rotation.from_rotvec(draw(vectors(3, 1.7))).as_quat())


def same(a: Pose, b: Pose, tolerance: float = 1e-9) -> bool:
    return np.allclose(a.position, b.position, atol=tolerance) and np.allclose(
        a.matrix, b.matrix, atol=tolerance
    )


@given(poses(), vectors(3, 1.0), vectors(3, 1.0))
def test_change_to_is_the_inverse_of_moved(pose: Pose, translation: np.ndarray, rotation: np.ndarray) -> None:
    found = pose.change_to(pose.moved(translation, rotation))
    np.testing.assert_allclose(found[0], translation, atol=1e-9)
    np.testing.assert_allclose(found[1], rotation, atol=1e-7)


@given(poses(), poses())
def test_moving_by_the_change_arrives(start: Pose, end: Pose) -> None:
    assert same(start.moved(*start.change_to(end)), end, 1e-7)


def test_rotations_act_in_the_base_frame_and_leave_the_position() -> None:
    tilted = Pose(np.array([0.5, 0.1, 0.2]), Rotation.from_euler("x", 90, degrees=True).as_quat())
    turned = tilted.moved(np.zeros(3), np.array([0.0, 0.0, 0.1]))
    np.testing.assert_allclose(
        turned.matrix, Rotation.from_rotvec([0, 0, 0.1]).as_matrix() @ tilted.matrix, atol=1e-12
    )
    np.testing.assert_array_equal(turned.position, tilted.position)


@given(poses())
def test_the_6d_rotation_is_the_first_two_columns_and_gives_the_rotation_back(pose: Pose) -> None:
    np.testing.assert_allclose(pose.rotation_6d, np.concatenate([pose.matrix[:, 0], pose.matrix[:, 1]]))
    np.testing.assert_allclose(rotation_from_6d(pose.rotation_6d), pose.matrix, atol=1e-9)


@given(poses())
def test_a_rotation_in_single_precision_comes_back_orthonormal(pose: Pose) -> None:
    matrix = rotation_from_6d(pose.rotation_6d.astype(np.float32))
    np.testing.assert_allclose(matrix @ matrix.T, np.eye(3), atol=1e-12)
    np.testing.assert_allclose(matrix, pose.matrix, atol=1e-6)


@pytest.mark.parametrize("columns", [np.zeros(6), np.array([1.0, 0, 0, 2, 0, 0]), np.full(6, np.nan)])
def test_columns_that_span_no_rotation_are_refused(columns: np.ndarray) -> None:
    with pytest.raises(ObservationError, match="do not span a rotation"):
        rotation_from_6d(columns)


@pytest.fixture(scope="module")
def space(specification: TaskSpecification) -> ActionSpace:
    return ActionSpace(specification)


def start(space: ActionSpace) -> RobotTarget:
    return RobotTarget(Pose(np.array([0.5, 0.0, 0.4]), np.array([1.0, 0, 0, 0])), space.hand_low.copy())


def test_between_is_the_inverse_of_apply(space: ActionSpace) -> None:
    @given(vectors(23, 1.0), poses())
    def law(action: np.ndarray, pose: Pose) -> None:
        current = RobotTarget(pose, space.hand_low)
        np.testing.assert_allclose(space.between(current, space.apply(current, action)), action, atol=1e-6)

    law()


def test_apply_is_the_inverse_of_between(space: ActionSpace) -> None:
    @given(vectors(3, 0.025), vectors(3, 0.08), vectors(17, 0.2))
    def law(translation: np.ndarray, rotation: np.ndarray, hand: np.ndarray) -> None:
        following = RobotTarget(start(space).flange_in_base.moved(translation, rotation), hand)
        found = space.apply(start(space), space.between(start(space), following))
        assert same(found.flange_in_base, following.flange_in_base)
        np.testing.assert_allclose(found.hand, hand, atol=1e-9)

    law()


def test_the_ends_of_contract_space_are_the_ends_of_each_range(
    space: ActionSpace, specification: TaskSpecification
) -> None:
    for sign, bound in ((-1, space.hand_low), (1, space.hand_high)):
        target = space.apply(start(space), np.full(23, sign))
        np.testing.assert_allclose(target.hand, bound, atol=1e-12)
        moved = target.flange_in_base.position - start(space).flange_in_base.position
        np.testing.assert_allclose(moved, sign * specification.action.arm.translation_scale)


def test_values_beyond_contract_space_are_clipped(space: ActionSpace) -> None:
    far, edge = (space.apply(start(space), np.full(23, value)) for value in (5.0, 1.0))
    assert same(far.flange_in_base, edge.flange_in_base)
    np.testing.assert_array_equal(far.hand, edge.hand)


def test_hold_changes_nothing(space: ActionSpace) -> None:
    @given(st.floats(0, 1))
    def law(share: float) -> None:
        hand = space.hand_low + share * (space.hand_high - space.hand_low)
        current = RobotTarget(start(space).flange_in_base, hand)
        target = space.apply(current, space.hold(hand))
        assert same(target.flange_in_base, current.flange_in_base)
        np.testing.assert_allclose(target.hand, hand, atol=1e-9)

    law()


@pytest.mark.parametrize("shape", [(22,), (24,), (1, 23), ()])
def test_an_action_of_wrong_shape_is_refused(space: ActionSpace, shape: tuple[int, ...]) -> None:
    with pytest.raises(ActionError, match=r"expected shape \(23,\), got"):
        space.apply(start(space), np.zeros(shape))


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
def test_an_action_that_is_not_finite_is_refused_naming_the_dimensions(
    space: ActionSpace, value: float
) -> None:
    action = np.zeros(23)
    action[[2, 9]] = value
    with pytest.raises(ActionError, match=r"\[2, 9\]"):
        space.apply(start(space), action)


def test_measured_and_commanded_state_are_read_from_their_own_fields(
    specification: TaskSpecification,
) -> None:
    values = {
        name: np.zeros(part.stop - part.start) for name, part in specification.proprioception_slices.items()
    }
    identity = [1.0, 0, 0, 0, 1, 0]
    values |= {
        "flange_position": [0.1, 0.2, 0.3],
        "flange_rotation": identity,
        "hand_joint_position": np.ones(17),
    }
    values |= {
        "arm_target_position": [0.4, 0.5, 0.6],
        "arm_target_rotation": identity,
        "hand_target": -np.ones(17),
    }
    vector = specification.assemble_proprioception(values)
    measured, commanded = measured_state(specification, vector), commanded_state(specification, vector)
    np.testing.assert_allclose(measured.flange_in_base.position, [0.1, 0.2, 0.3], rtol=1e-6)
    np.testing.assert_allclose(commanded.flange_in_base.position, [0.4, 0.5, 0.6], rtol=1e-6)
    np.testing.assert_array_equal(measured.hand, 1)
    np.testing.assert_array_equal(commanded.hand, -1)
    vector[specification.proprioception_slices["hand_target"]] = np.nan
    assert measured_state(specification, vector)
    with pytest.raises(ObservationError, match="'hand_target' is not finite"):
        commanded_state(specification, vector)
    with pytest.raises(ObservationError, match="expected 89 numbers"):
        measured_state(specification, vector[:-1])


def test_a_task_without_an_arm_counts_its_hand_only_and_has_no_robot_targets(
    specification: TaskSpecification,
) -> None:
    data = specification.model_dump(mode="json")
    data["action"]["arm"] = None
    armless = TaskSpecification.from_mapping(data, "test")
    assert armless.action_dimension == specification.action_dimension - 6
    assert (armless.change_dimensions, specification.change_dimensions) == (0, 6)
    with pytest.raises(SpecificationError, match=r"has no action\.arm"):
        ActionSpace(armless)
