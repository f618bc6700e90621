"""Laws of the safety clamps, for any state and any action."""

from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from scipy.spatial.transform import Rotation

from soft_flow_contract.action_space import RobotTarget
from soft_flow_contract.errors import ActionError
from soft_flow_contract.limits import (
    ActionLimiter,
    FlangeStepLimit,
    HandLimit,
    Limit,
    TargetLeadLimit,
    WorkspaceLimit,
)
from soft_flow_contract.pose import Pose
from soft_flow_contract.robot_cell import RobotCell
from soft_flow_contract.task_specification import TaskSpecification

ROOT = Path(__file__).parents[3]
H = 17
LOW, HIGH = np.array([0.2, -0.6, 0.02]), np.array([0.85, 0.6, 0.9])
LIMITS: list[Limit] = [
    FlangeStepLimit(0.03, 0.15),
    WorkspaceLimit(LOW, HIGH),
    TargetLeadLimit(0.12),
    HandLimit(np.full(H, -0.5), np.full(H, 1.5), 0.35),
]


def arrays_within(size: int, bound: float) -> st.SearchStrategy[np.ndarray]:
    return arrays(np.float64, size, elements=st.floats(-bound, bound, allow_subnormal=False))


@st.composite
def targets(draw: st.DrawFn) -> RobotTarget:
    rotation = Rotation.from_rotvec(draw(arrays_within(3, 1.0)))
    return RobotTarget(Pose(draw(arrays_within(3, 1.2)), rotation.as_quat()), draw(arrays_within(H, 3.0)))


def near(a: RobotTarget, b: RobotTarget, tolerance: float = 1e-9) -> bool:
    return (
        np.allclose(a.flange_in_base.position, b.flange_in_base.position, atol=tolerance)
        and np.allclose(a.flange_in_base.matrix, b.flange_in_base.matrix, atol=tolerance)
        and np.allclose(a.hand, b.hand, atol=tolerance)
    )


@pytest.mark.parametrize("limit", LIMITS, ids=lambda limit: type(limit).__name__)
@given(current=targets(), following=targets(), measured=targets())
def test_a_limit_keeps_what_it_has_clamped_once(
    limit: Limit, current: RobotTarget, following: RobotTarget, measured: RobotTarget
) -> None:
    once = limit.clamp(current, following, measured.flange_in_base)
    assert near(limit.clamp(current, once, measured.flange_in_base), once)


@given(targets(), targets())
def test_a_step_is_never_longer_than_its_limit_and_keeps_its_direction(
    a: RobotTarget, b: RobotTarget
) -> None:
    clamped = LIMITS[0].clamp(a, b, a.flange_in_base)
    wanted = a.flange_in_base.change_to(b.flange_in_base)
    got = a.flange_in_base.change_to(clamped.flange_in_base)
    for wish, step, bound in zip(wanted, got, (0.03, 0.15), strict=True):
        length = np.linalg.norm(step)
        assert length <= bound + 1e-9
        assert length == pytest.approx(min(bound, float(np.linalg.norm(wish))), abs=1e-9)
        np.testing.assert_allclose(step * np.linalg.norm(wish), wish * length, atol=1e-7)


@given(targets(), targets(), targets())
def test_the_target_stays_in_the_workspace(a: RobotTarget, b: RobotTarget, m: RobotTarget) -> None:
    position = LIMITS[1].clamp(a, b, m.flange_in_base).flange_in_base.position
    assert np.all(position >= LOW) and np.all(position <= HIGH)


@given(targets(), targets(), targets())
def test_the_target_stays_near_the_measured_flange(a: RobotTarget, b: RobotTarget, m: RobotTarget) -> None:
    position = LIMITS[2].clamp(a, b, m.flange_in_base).flange_in_base.position
    assert np.linalg.norm(position - m.flange_in_base.position) <= 0.12 + 1e-9


@given(targets(), targets(), targets())
def test_the_hand_stays_in_its_range_whatever_was_commanded_before(
    a: RobotTarget, b: RobotTarget, m: RobotTarget
) -> None:
    hand = LIMITS[3].clamp(a, b, m.flange_in_base).hand
    assert np.all(hand >= -0.5) and np.all(hand <= 1.5)
    inside = (a.hand >= -0.5) & (a.hand <= 1.5)
    assert np.all(np.abs(hand - a.hand)[inside] <= 0.35 + 1e-9)


@pytest.fixture(scope="module")
def limiter(specification: TaskSpecification) -> ActionLimiter:
    return ActionLimiter.from_specification(specification)


def inside(limiter: ActionLimiter) -> st.SearchStrategy[RobotTarget]:
    @st.composite
    def draw_target(draw: st.DrawFn) -> RobotTarget:
        share = draw(arrays(np.float64, 3, elements=st.floats(0, 1)))
        rotation = Rotation.from_rotvec(draw(arrays_within(3, 1.0)))
        joints = draw(arrays(np.float64, H, elements=st.floats(0, 1)))
        hand = limiter.space.hand_low + joints * (limiter.space.hand_high - limiter.space.hand_low)
        return RobotTarget(Pose(LOW + share * (HIGH - LOW), rotation.as_quat()), hand)

    return draw_target()


def test_a_safe_target_keeps_every_limit_and_is_what_the_executed_action_says(limiter: ActionLimiter) -> None:
    @settings(deadline=None)
    @given(st.data())
    def law(data: st.DataObject) -> None:
        current = data.draw(inside(limiter))
        offset = data.draw(arrays_within(3, 0.05))
        measured = Pose(current.flange_in_base.position + offset, current.flange_in_base.quaternion)
        safe = limiter.apply(current, data.draw(arrays_within(23, 3.0)), measured)
        position = safe.target.flange_in_base.position
        assert np.all(position >= LOW - 1e-12) and np.all(position <= HIGH + 1e-12)
        translation, rotation = current.flange_in_base.change_to(safe.target.flange_in_base)
        assert np.linalg.norm(translation) <= 0.03 + 1e-9
        assert np.linalg.norm(rotation) <= 0.15 + 1e-9
        assert np.all(np.abs(safe.target.hand - current.hand) <= 0.35 + 1e-9)
        assert np.all(np.abs(safe.executed) <= 1 + 1e-6)
        assert near(limiter.space.apply(current, safe.executed), safe.target, 1e-6)

    law()


def test_an_action_within_all_limits_is_not_touched(limiter: ActionLimiter) -> None:
    current = RobotTarget(Pose(np.array([0.5, 0.0, 0.4]), np.array([1.0, 0, 0, 0])), np.zeros(H))

    @given(arrays_within(6, 0.4), arrays_within(H, 0.02))
    def law(arm: np.ndarray, hand: np.ndarray) -> None:
        action = np.concatenate([arm, limiter.space.normalize_hand(hand)])
        safe = limiter.apply(current, action, current.flange_in_base)
        assert not safe.clamped
        np.testing.assert_allclose(safe.executed, action, atol=1e-6)

    law()


@pytest.mark.parametrize("action", [np.full(23, np.nan), np.zeros(22)])
def test_a_broken_action_is_refused_and_nothing_comes_out(limiter: ActionLimiter, action: np.ndarray) -> None:
    current = RobotTarget(Pose(np.array([0.5, 0.0, 0.4]), np.array([1.0, 0, 0, 0])), np.zeros(H))
    with pytest.raises(ActionError):
        limiter.apply(current, action, current.flange_in_base)


def test_with_a_cell_no_target_is_farther_than_its_drivers_go_in_a_tick() -> None:
    specification = TaskSpecification.load(ROOT / "config" / "tasks" / "scissors.yaml")
    cell = RobotCell.load(ROOT / "config" / "robots" / "protocol_sim.yaml")
    slow = cell.arm.model_copy(update={"max_speed": 0.4, "max_turn": 1.5})
    cell = cell.model_copy(update={"arm": slow})
    limiter = ActionLimiter.from_specification(specification, cell)
    middle = (limiter.space.hand_low + limiter.space.hand_high) / 2
    start = RobotTarget(Pose(np.array([0.5, 0.0, 0.4]), np.array([1.0, 0.0, 0.0, 0.0])), middle)
    far = limiter.apply(start, np.ones(specification.action_dimension), start.flange_in_base).target
    translation, rotation = start.flange_in_base.change_to(far.flange_in_base)
    step = np.array(cell.hand.joint_speeds(specification.hand_joint_names)) * specification.dt
    assert np.linalg.norm(translation) == pytest.approx(0.4 * specification.dt)
    assert np.linalg.norm(rotation) == pytest.approx(1.5 * specification.dt)
    assert np.all(far.hand - middle <= step + 1e-9)
    wrist = specification.hand_joint_names.index("wrist")
    assert far.hand[wrist] - middle[wrist] == pytest.approx(cell.hand.max_wrist_speed * specification.dt)
