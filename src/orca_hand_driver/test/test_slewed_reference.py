"""The reference never outruns its speeds, and never leaves what lies between where it began and the range."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from small_hand import AT, MODEL, SPEEDS

from orca_hand_driver.slewed_reference import SlewedReference


@pytest.fixture
def reference() -> SlewedReference:
    reference = SlewedReference(MODEL.low, MODEL.high, SPEEDS)
    reference.anchor(AT)
    return reference


def test_the_wrist_has_a_speed_of_its_own(reference: SlewedReference) -> None:
    reference.lead_to(np.array([0.5, 1.5, 0.5]))
    np.testing.assert_allclose(reference.advance(0.01), AT + [0.02, 0.08, 0.0])


def test_it_arrives_and_stays(reference: SlewedReference) -> None:
    goal = np.array([0.1, 0.6, 0.4])
    reference.lead_to(goal)
    for _ in range(20):
        reference.advance(0.01)
    assert reference.arrived
    np.testing.assert_array_equal(reference.position, goal)


def test_frozen_it_stays_where_it_is_on_its_way(reference: SlewedReference) -> None:
    reference.lead_to(np.array([0.5, 1.5, 0.5]))
    on_the_way = reference.advance(0.01)
    reference.freeze()
    np.testing.assert_array_equal(reference.advance(0.01), on_the_way)


def test_a_pause_does_not_make_it_jump(reference: SlewedReference) -> None:
    reference.lead_to(np.array([0.5, 1.5, 0.5]))
    assert np.abs(reference.advance(10.0) - AT).max() <= 8.0 * 0.05 + 1e-12


def test_a_slow_lead_is_slow_until_the_next(reference: SlewedReference) -> None:
    reference.lead_to(MODEL.neutral, speed=0.5)
    assert np.abs(reference.advance(0.01) - AT).max() == pytest.approx(0.005)
    reference.lead_to(MODEL.high)
    assert reference.advance(0.01)[1] - 0.495 == pytest.approx(0.08)


def test_beyond_the_range_it_begins_where_it_is_and_only_moves_inwards(reference: SlewedReference) -> None:
    beyond = np.array([0.65, 0.5, 1.85])
    reference.anchor(beyond)
    np.testing.assert_array_equal(reference.advance(0.01), beyond)
    reference.lead_to(np.array([0.65, 0.6, 1.9]))  # the wrist keeps its target, pip goes to its end
    for _ in range(50):
        reference.advance(0.01)
    np.testing.assert_allclose(reference.position, [0.65, 0.6, 1.8])


numbers = st.floats(-3, 3)
vectors = st.tuples(numbers, numbers, numbers).map(np.array)


@given(
    vectors,
    st.lists(
        st.one_of(
            st.tuples(st.just("lead"), vectors),
            st.tuples(st.just("freeze"), st.none()),
            st.tuples(st.just("advance"), st.floats(-1.0, 1.0)),
        ),
        max_size=40,
    ),
)
def test_whatever_it_is_told_it_keeps_its_speeds_and_stays_in_the_range(
    anchor: np.ndarray, events: list[tuple[str, object]]
) -> None:
    reference = SlewedReference(MODEL.low, MODEL.high, SPEEDS)
    reference.anchor(anchor)
    low, high = np.minimum(MODEL.low, anchor), np.maximum(MODEL.high, anchor)
    for kind, value in events:
        before = reference.position
        if kind == "lead":
            reference.lead_to(value)  # type: ignore[arg-type]
        elif kind == "freeze":
            reference.freeze()
        else:
            after = reference.advance(value)  # type: ignore[arg-type]
            assert (np.abs(after - before) <= SPEEDS * max(value, 0.0) + 1e-9).all()  # type: ignore[call-overload]
        assert (reference.position >= low - 1e-9).all() and (reference.position <= high + 1e-9).all()
