"""Laws of the reference: whatever targets come, it is finite, continuous, in the box, and within speed."""

import itertools

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.spatial.transform import Rotation

from soft_flow_contract.pose import Pose
from soft_flow_franka_bringup.flange_reference import FlangeReference, ReferenceSample

MAX_SPEED, MAX_TURN, TICK, SMOOTHING = 0.7, 3.5, 0.05, 0.016
LOW, HIGH = np.array([0.2, -0.6, 0.02]), np.array([0.85, 0.6, 0.9])
START = Pose(np.array([0.5, 0.0, 0.4]), np.array([1.0, 0.0, 0.0, 0.0]))

positions = st.tuples(*(st.floats(low, high) for low, high in zip(LOW, HIGH, strict=True)))
turns = st.tuples(*([st.floats(-1.0, 1.0)] * 3))
steps = st.lists(st.floats(0.001, 0.02), min_size=1, max_size=20)
histories = st.lists(st.tuples(positions, turns, steps), min_size=1, max_size=8)


def make(start: Pose = START) -> FlangeReference:
    reference = FlangeReference(MAX_SPEED, MAX_TURN, TICK, SMOOTHING)
    reference.restart(start)
    return reference


def target(position: tuple[float, ...], turn: tuple[float, ...]) -> Pose:
    rotation = Rotation.from_rotvec(turn) * Rotation.from_quat(START.quaternion)
    return Pose(np.array(position), rotation.as_quat())


def play(reference: FlangeReference, history: list) -> list[tuple[float, ReferenceSample]]:
    samples = []
    for position, turn, waits in history:
        reference.lead_to(target(position, turn))
        samples += [(dt, reference.advance(dt)) for dt in waits]
    return samples


@given(histories)
def test_the_reference_is_finite_and_stays_in_the_box_that_its_targets_are_in(history: list) -> None:
    for _, sample in play(make(), history):
        numbers = [*sample.pose.position, *sample.pose.quaternion, *sample.twist, *sample.acceleration]
        assert np.isfinite(numbers).all()
        assert np.all(sample.pose.position >= LOW - 1e-9) and np.all(sample.pose.position <= HIGH + 1e-9)
        assert np.linalg.norm(sample.pose.quaternion) == pytest.approx(1.0)


@given(histories)
def test_its_velocity_never_exceeds_the_limits(history: list) -> None:
    for _, sample in play(make(), history):
        assert np.linalg.norm(sample.twist[:3]) <= MAX_SPEED * (1 + 1e-6)
        assert np.linalg.norm(sample.twist[3:]) <= MAX_TURN * (1 + 1e-6)


@given(histories)
def test_it_is_continuous_no_step_is_longer_than_the_lead_could_have_gone(history: list) -> None:
    samples = [(0.0, ReferenceSample(START, np.zeros(6), np.zeros(6))), *play(make(), history)]
    for (_, one), (dt, two) in itertools.pairwise(samples):
        translation, rotation = one.pose.change_to(two.pose)
        # A step of changing length may take up a little of the smoothing's reserve.
        assert np.linalg.norm(translation) <= 1.35 * MAX_SPEED * dt + 1e-9
        assert np.linalg.norm(rotation) <= 1.35 * MAX_TURN * dt + 1e-6


@given(positions, turns)
def test_without_a_new_target_the_lead_is_there_after_one_interpolation_time_or_as_limits_allow(
    position: tuple[float, ...], turn: tuple[float, ...]
) -> None:
    reference, goal = make(), target(position, turn)
    translation, rotation = START.change_to(goal)
    needed = max(TICK, np.linalg.norm(translation) / MAX_SPEED, np.linalg.norm(rotation) / MAX_TURN)
    reference.lead_to(goal)
    reference.advance(needed * 1.001)
    np.testing.assert_allclose(reference.lead.position, goal.position, atol=1e-9)
    np.testing.assert_allclose(reference.lead.matrix, goal.matrix, atol=1e-9)


@given(positions, turns)
def test_it_comes_to_rest_exactly_on_its_target(position: tuple[float, ...], turn: tuple[float, ...]) -> None:
    reference, goal = make(), target(position, turn)
    reference.lead_to(goal)
    for _ in range(175):
        sample = reference.advance(0.02)
    np.testing.assert_allclose(sample.pose.position, goal.position, atol=1e-9)
    np.testing.assert_array_equal(sample.twist, np.zeros(6))
    np.testing.assert_array_equal(sample.acceleration, np.zeros(6))


@given(histories)
def test_frozen_it_stops_within_six_smoothing_times_and_the_way_that_belongs_to_them(history: list) -> None:
    reference = make()
    last = play(reference, history)[-1][1]
    reference.freeze()
    for _ in range(20):
        sample = reference.advance(0.3 * SMOOTHING)
    assert np.linalg.norm(sample.twist[:3]) < 0.02 * MAX_SPEED
    assert np.linalg.norm(sample.pose.position - last.pose.position) <= 2 * SMOOTHING * MAX_SPEED


def test_velocity_and_acceleration_are_those_of_the_pose() -> None:
    reference, dt = make(), 1e-4
    goal = START.moved(np.array([0.03, -0.02, 0.01]), np.array([0.1, -0.05, 0.08]))
    reference.lead_to(goal)
    samples = [reference.advance(dt) for _ in range(1500)]
    for one, two in itertools.pairwise(samples):
        moved = np.concatenate(one.pose.change_to(two.pose)) / dt
        np.testing.assert_allclose(moved, one.twist, atol=0.02 * MAX_SPEED)
        gained = (two.twist - one.twist) / dt
        np.testing.assert_allclose(gained, one.acceleration, atol=0.05 * MAX_SPEED / SMOOTHING)


def test_a_turn_is_led_along_the_shortest_way() -> None:
    reference = make()
    goal = target((0.5, 0.0, 0.4), (0.0, 0.0, 0.4))
    reference.lead_to(Pose(goal.position, -goal.quaternion))
    reference.advance(TICK)
    angle = Rotation.from_matrix(reference.lead.matrix @ START.matrix.T).as_rotvec()
    np.testing.assert_allclose(angle, [0, 0, 0.4 * min(1, TICK * MAX_TURN / 0.4)], atol=1e-9)
