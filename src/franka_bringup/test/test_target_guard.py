"""The guard of targets: what may become one, and what is refused whatever else it has right."""

import math

import numpy as np
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from soft_flow_contract.pose import Pose
from soft_flow_franka_bringup.target_guard import CommandedPose, TargetGuard, TargetRefused

LOW, HIGH = np.array([0.2, -0.6, 0.02]), np.array([0.85, 0.6, 0.9])
MAX_JUMP, MAX_JUMP_ANGLE = 0.10, 0.5
LEAD = Pose(np.array([0.5, 0.0, 0.4]), np.array([1.0, 0.0, 0.0, 0.0]))
anything = st.floats(allow_nan=True, allow_infinity=True)


def make_guard() -> TargetGuard:
    return TargetGuard(LOW, HIGH, MAX_JUMP, MAX_JUMP_ANGLE, frozenset({"", "base", "fr3_link0"}))


@pytest.fixture
def guard() -> TargetGuard:
    return make_guard()


def commanded(
    position: object = LEAD.position,
    quaternion: object = LEAD.quaternion,
    frame: str = "base",
    stamp: int = 1,
) -> CommandedPose:
    return CommandedPose(np.asarray(position, float), np.asarray(quaternion, float), frame, stamp)


@given(st.tuples(*[anything] * 3), st.tuples(*[anything] * 4))
def test_whatever_is_commanded_what_passes_is_finite_in_the_box_near_and_of_unit_length(
    position: tuple[float, ...], quaternion: tuple[float, ...]
) -> None:
    try:
        target = make_guard().check(commanded(position, quaternion), LEAD)
    except TargetRefused:
        return
    translation, rotation = LEAD.change_to(target)
    assert np.isfinite([*target.position, *target.quaternion]).all()
    assert np.all(target.position >= LOW) and np.all(target.position <= HIGH)
    assert np.linalg.norm(translation) <= MAX_JUMP and np.linalg.norm(rotation) <= MAX_JUMP_ANGLE
    assert np.linalg.norm(target.quaternion) == pytest.approx(1.0)


@given(
    st.tuples(*[st.floats(-0.05, 0.05)] * 3),
    st.tuples(*[st.floats(-0.25, 0.25)] * 3),
    st.floats(0.995, 1.005),
)
def test_what_is_near_passes_unchanged_but_for_the_length_of_its_quaternion(
    translation: tuple[float, ...], rotation: tuple[float, ...], length: float
) -> None:
    wanted = LEAD.moved(np.array(translation), np.array(rotation))
    target = make_guard().check(commanded(wanted.position, length * wanted.quaternion), LEAD)
    np.testing.assert_array_equal(target.position, wanted.position)
    np.testing.assert_allclose(target.quaternion, wanted.quaternion, atol=1e-12)


@pytest.mark.parametrize("bad", [math.nan, math.inf, -math.inf])
@pytest.mark.parametrize("place", range(7))
def test_one_number_that_is_not_finite_refuses_the_target(guard: TargetGuard, bad: float, place: int) -> None:
    numbers = np.concatenate([LEAD.position, LEAD.quaternion])
    numbers[place] = bad
    with pytest.raises(TargetRefused, match="not finite"):
        guard.check(commanded(numbers[:3], numbers[3:]), LEAD)


@pytest.mark.parametrize("quaternion", [[0, 0, 0, 0], [0.5, 0, 0, 0], [1, 1, 0, 0]])
def test_a_quaternion_of_another_length_is_refused(guard: TargetGuard, quaternion: list[float]) -> None:
    with pytest.raises(TargetRefused, match="length"):
        guard.check(commanded(quaternion=quaternion), LEAD)


def test_another_frame_is_refused_and_the_message_names_the_right_one(guard: TargetGuard) -> None:
    with pytest.raises(TargetRefused, match=r"frame_id 'camera'.*base, fr3_link0"):
        guard.check(commanded(frame="camera"), LEAD)
    for frame in ("", "base", "fr3_link0"):
        guard.check(commanded(frame=frame, stamp=0), LEAD)


def test_a_target_just_outside_the_workspace_is_moved_to_its_face_and_counted(guard: TargetGuard) -> None:
    lead = Pose(np.array([0.5, 0.59, 0.4]), LEAD.quaternion)
    target = guard.check(commanded([0.5, 0.64, 0.4]), lead)
    np.testing.assert_array_equal(target.position, [0.5, 0.6, 0.4])
    assert guard.clamped == 1


def test_a_target_far_outside_the_workspace_is_refused(guard: TargetGuard) -> None:
    lead = Pose(np.array([0.5, 0.59, 0.4]), LEAD.quaternion)
    with pytest.raises(TargetRefused, match="outside the workspace"):
        guard.check(commanded([0.5, 0.66, 0.4]), lead)


@given(st.floats(0.0, 2 * math.pi), st.floats(10.0, 100.0))
def test_a_command_ten_times_as_fast_as_allowed_never_passes(direction: float, factor: float) -> None:
    step = factor * 0.02 * np.array([math.cos(direction), math.sin(direction), 0.0])  # an arbiter's largest
    with pytest.raises(TargetRefused):
        make_guard().check(commanded(LEAD.position + step), LEAD)


def test_a_turn_too_far_is_refused(guard: TargetGuard) -> None:
    turned = LEAD.moved(np.zeros(3), np.array([0.0, 0.0, 0.6]))
    with pytest.raises(TargetRefused, match="max_jump_angle"):
        guard.check(commanded(quaternion=turned.quaternion), LEAD)


@given(st.lists(st.integers(1, 5), min_size=1, max_size=10))
def test_only_a_stamp_after_the_last_accepted_one_passes(stamps: list[int]) -> None:
    guard, newest = make_guard(), 0
    for stamp in stamps:
        if stamp > newest:
            guard.check(commanded(stamp=stamp), LEAD)
            newest = stamp
        else:
            with pytest.raises(TargetRefused, match="stamp"):
                guard.check(commanded(stamp=stamp), LEAD)


def test_a_refused_target_leaves_no_stamp_and_one_without_a_stamp_passes(guard: TargetGuard) -> None:
    with pytest.raises(TargetRefused):
        guard.check(commanded([math.nan] * 3, stamp=9), LEAD)
    guard.check(commanded(stamp=5), LEAD)
    guard.check(commanded(stamp=0), LEAD)
    guard.forget()
    guard.check(commanded(stamp=1), LEAD)


@given(st.tuples(*[st.floats(-2, 2)] * 3))
def test_far_from_the_reference_nothing_passes_even_inside_the_workspace(
    position: tuple[float, ...],
) -> None:
    assume(np.linalg.norm(np.clip(position, LOW, HIGH) - LEAD.position) > MAX_JUMP)
    with pytest.raises(TargetRefused):
        make_guard().check(commanded(position), LEAD)
