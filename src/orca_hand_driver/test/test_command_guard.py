"""Whatever comes in, what goes out is finite, in range and near; what is wrong is refused by name."""

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from small_hand import AT, HAND, MODEL, NAMES

from orca_hand_driver.command_guard import MAX_OVERSHOOT, CommandGuard, CommandRefused, JointCommand


@pytest.fixture
def guard() -> CommandGuard:
    return CommandGuard(MODEL, HAND.max_jump)


def test_joints_are_taken_by_name_in_whatever_order(guard: CommandGuard) -> None:
    target = guard.check(JointCommand(["index_pip", "wrist", "index_mcp"], [0.3, 0.1, 0.2]), AT)
    np.testing.assert_array_equal(target, [0.1, 0.2, 0.3])


def test_a_joint_that_is_left_out_keeps_its_target(guard: CommandGuard) -> None:
    np.testing.assert_array_equal(guard.check(JointCommand(["index_mcp"], [0.2]), AT), [0.0, 0.2, 0.5])


@pytest.mark.parametrize(
    ("names", "positions", "message"),
    [
        (NAMES, [0.0, math.nan, 0.5], "index_mcp is not finite"),
        (NAMES, [math.inf, 0.5, 0.5], "wrist is not finite"),
        (["thumb_pip"], [0.0], "no joint 'thumb_pip'; it has wrist, index_mcp, index_pip"),
        (["wrist", "wrist"], [0.0, 0.0], "each joint once"),
        ([], [], "each joint once"),
        (NAMES, [0.0, 0.5], "3 names, but 2 positions"),
        (["index_mcp"], [1.7 + MAX_OVERSHOOT + 1e-6], "outside its range -0.400 to 1.700; are these radians"),
        (["index_mcp"], [1.6], "index_mcp is 1.100 rad from its last target; at most 1 rad"),
        (["wrist"], [-57.0], "are these radians"),
    ],
)
def test_what_is_wrong_is_refused_and_named(
    guard: CommandGuard, names: list[str], positions: list[float], message: str
) -> None:
    with pytest.raises(CommandRefused, match=message.replace("(", r"\(")):
        guard.check(JointCommand(names, positions), AT)
    assert guard.clamped == 0


def test_a_small_overshoot_is_clamped_and_counted(guard: CommandGuard) -> None:
    target = guard.check(JointCommand(["wrist"], [0.6 + MAX_OVERSHOOT]), AT)
    assert target[0] == 0.6 and guard.clamped == 1


def test_a_stamp_that_is_not_newer_is_refused_until_it_is_forgotten(guard: CommandGuard) -> None:
    guard.check(JointCommand(NAMES, AT, stamp_ns=5), AT)
    with pytest.raises(CommandRefused, match="play it back"):
        guard.check(JointCommand(NAMES, AT, stamp_ns=5), AT)
    guard.check(JointCommand(NAMES, AT), AT)  # commands without a stamp are as good
    guard.forget()
    guard.check(JointCommand(NAMES, AT, stamp_ns=1), AT)


def test_a_refused_command_does_not_count_as_the_last_stamp(guard: CommandGuard) -> None:
    with pytest.raises(CommandRefused):
        guard.check(JointCommand(NAMES, [math.nan] * 3, stamp_ns=9), AT)
    guard.check(JointCommand(NAMES, AT, stamp_ns=6), AT)


anything = st.floats(allow_nan=True, allow_infinity=True)
likely = st.floats(-2.5, 2.5)


@given(
    st.lists(
        st.tuples(st.sampled_from([*NAMES, "thumb", ""]), st.one_of(anything, likely)),
        max_size=5,
        unique=True,
    ),
    st.tuples(*(st.floats(low, high) for low, high in zip(MODEL.low, MODEL.high, strict=True))),
)
def test_whatever_comes_in_a_target_is_finite_in_range_and_within_the_jump(
    pairs: list[tuple[str, float]], last: tuple[float, ...]
) -> None:
    guard, before = CommandGuard(MODEL, HAND.max_jump), np.array(last)
    try:
        target = guard.check(JointCommand([name for name, _ in pairs], [value for _, value in pairs]), before)
    except CommandRefused:
        return
    assert np.isfinite(target).all()
    assert (target >= MODEL.low).all() and (target <= MODEL.high).all()
    assert (np.abs(target - before) <= HAND.max_jump).all()
