"""Commands in, reference out, and every reason to stand still; without time, bus or ROS of its own."""

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from small_hand import AT, HAND, MODEL, NAMES, SPEEDS

from orca_hand_driver.command_guard import CommandRefused, JointCommand
from orca_hand_driver.hand_follower import (
    TORQUE_OFF,
    FollowerSettings,
    HandFollower,
    HandRefused,
)
from soft_flow_contract.driver_machine import DriverState

CYCLE = 0.01


class Hand:
    """A follower and a hand that is where it was told to be."""

    def __init__(self, **settings: object) -> None:
        self.follower = HandFollower(MODEL, HAND, FollowerSettings(**settings))  # type: ignore[arg-type]
        self.now, self.at, self.sent = 0.0, AT.copy(), [AT.copy()]
        self.cycle()

    def cycle(self, count: int = 1) -> None:
        for _ in range(count):
            self.now += CYCLE
            reference = self.follower.observe(self.at, self.now)
            assert reference is not None
            self.at = reference
            self.sent.append(reference)

    def command(self, *positions: float) -> None:
        self.follower.command(JointCommand(NAMES, positions), self.now)

    def ready(self) -> "Hand":
        self.follower.emergency_stop(False)
        self.follower.activate(self.now)
        return self

    @property
    def state(self) -> DriverState:
        return self.follower.report().state

    @property
    def reason(self) -> str:
        return self.follower.report().reason


@pytest.fixture
def hand() -> Hand:
    return Hand().ready()


def test_it_stands_until_a_command_leads_it_at_its_speed(hand: Hand) -> None:
    hand.cycle(5)
    np.testing.assert_array_equal(hand.at, AT)
    hand.command(0.2, 0.9, 0.5)
    hand.cycle()
    np.testing.assert_allclose(hand.at, AT + [0.02, 0.08, 0.0])
    hand.cycle(11)
    np.testing.assert_allclose(hand.at, [0.2, 0.9, 0.5])


def test_commands_are_refused_before_activation_and_before_the_emergency_stop_was_heard() -> None:
    hand = Hand()
    with pytest.raises(CommandRefused, match="not active"):
        hand.command(*AT)
    hand.follower.activate(hand.now)
    with pytest.raises(CommandRefused, match="not heard yet"):
        hand.command(*AT)
    hand.follower.emergency_stop(False)
    hand.command(*AT)
    report = hand.follower.report()
    assert (report.accepted, report.refused) == (1, 2) and "not heard" in report.last_refusal


def test_without_a_command_in_time_the_motion_ends_until_it_is_recovered(hand: Hand) -> None:
    hand.command(0.0, 1.4, 0.5)
    hand.cycle(3)
    hand.now += HAND.command_timeout
    hand.cycle()
    assert hand.state is DriverState.FAULT and "no command for" in hand.reason
    held = hand.at
    with pytest.raises(CommandRefused, match="no command for"):
        hand.command(0.0, 1.4, 0.5)
    hand.cycle(30)
    np.testing.assert_array_equal(hand.at, held)
    assert held[1] < 1.4
    hand.follower.recovered(hand.now)
    hand.cycle(30)
    assert hand.state is DriverState.READY
    np.testing.assert_array_equal(hand.at, held)  # and it is not armed before the next command


def test_a_command_that_comes_too_late_is_refused_though_nobody_had_noticed_yet(hand: Hand) -> None:
    hand.command(0.0, 1.4, 0.5)
    hand.cycle(14)
    hand.now += 0.02
    assert hand.state is DriverState.READY
    with pytest.raises(CommandRefused, match="no command for"):
        hand.command(0.0, 1.4, 0.5)


def test_a_refused_command_does_not_feed_the_watchdog(hand: Hand) -> None:
    hand.command(0.0, 0.9, 0.5)
    for _ in range(20):
        hand.cycle()
        if hand.state is DriverState.READY:
            with pytest.raises(CommandRefused):
                hand.command(0.0, math.nan, 0.5)
    assert hand.state is DriverState.FAULT


def test_without_a_watchdog_it_goes_on_without_commands() -> None:
    hand = Hand(watchdog=False).ready()
    hand.command(0.0, 1.4, 0.5)
    hand.now += 1.0
    hand.cycle(30)
    assert hand.state is DriverState.READY and hand.at[1] == 1.4


def test_in_a_world_at_half_speed_it_is_twice_as_patient_and_half_as_fast() -> None:
    hand = Hand(time_scale=2.0).ready()
    hand.command(0.0, 1.4, 0.5)
    hand.cycle()
    assert hand.at[1] - AT[1] == pytest.approx(0.04)
    hand.now += 1.5 * HAND.command_timeout
    hand.cycle()
    assert hand.state is DriverState.READY
    hand.now += 2 * HAND.command_timeout
    hand.cycle()
    assert hand.state is DriverState.FAULT


def test_an_emergency_stop_holds_where_the_hand_is_and_begins_there_again(hand: Hand) -> None:
    hand.command(0.0, 1.4, 0.5)
    hand.cycle(3)
    measured = hand.at - [0.0, 0.1, 0.0]  # the hand trails behind
    hand.at = measured
    hand.follower.observe(measured, hand.now)
    hand.follower.emergency_stop(True)
    assert (hand.state, hand.reason) == (DriverState.STOPPED, "emergency stop")
    hand.cycle(20)
    np.testing.assert_array_equal(hand.at, measured)
    with pytest.raises(CommandRefused, match="emergency stop"):
        hand.command(*AT)
    hand.at = np.array([0.0, -0.3, 0.5])  # somebody bent the finger
    hand.follower.observe(hand.at, hand.now)
    hand.follower.emergency_stop(False)
    with pytest.raises(CommandRefused, match="1.200 rad from its last target"):
        hand.command(0.0, 0.9, 0.5)
    hand.cycle(5)
    np.testing.assert_array_equal(hand.at, [0.0, -0.3, 0.5])


def test_a_command_ten_times_too_fast_is_refused(hand: Hand) -> None:
    with pytest.raises(CommandRefused, match="max_jump"):
        hand.command(0.0, AT[1] + 1.1, 0.5)
    hand.cycle(10)
    np.testing.assert_array_equal(hand.at, AT)


def test_silence_is_a_fault_whoever_notices_it(hand: Hand) -> None:
    hand.follower.watch(hand.now + 0.14)
    assert hand.state is DriverState.READY
    hand.follower.watch(hand.now + 0.16)
    assert hand.state is DriverState.FAULT and "bus silent since 160 ms" in hand.reason


def test_an_inactive_driver_does_not_mind_silence() -> None:
    hand = Hand()
    hand.follower.watch(hand.now + 10)
    assert hand.state is DriverState.INACTIVE


def test_a_hand_that_is_not_calibrated_is_active_in_a_fault() -> None:
    follower = HandFollower(MODEL, HAND, FollowerSettings())
    follower.emergency_stop(False)
    assert follower.observe(None, 1.0) is None
    follower.activate(1.0, "not calibrated")
    assert (follower.report().state, follower.report().reason) == (DriverState.FAULT, "not calibrated")
    with pytest.raises(HandRefused, match="nobody knows"):
        follower.recovered(1.0)


def test_a_calibration_that_does_not_fit_is_a_fault_and_no_recovery() -> None:
    hand = Hand()
    hand.at = np.array([0.0, 5.0, 0.5])
    hand.follower.observe(hand.at, hand.now)
    hand.ready()
    assert hand.state is DriverState.FAULT and "index_mcp measures 286 degrees" in hand.reason
    with pytest.raises(HandRefused, match="hand/calibrate"):
        hand.follower.recovered(hand.now)


def test_a_hot_motor_is_a_fault_that_names_its_joint(hand: Hand) -> None:
    hand.follower.check_temperatures(np.array([40.0, 65.0, 40.0]))
    assert hand.state is DriverState.READY
    hand.follower.check_temperatures(np.array([40.0, 66.0, 40.0]))
    assert hand.state is DriverState.FAULT and "motor of index_mcp has 66 degrees (at most 65)" in hand.reason


def test_torque_switched_on_ends_its_own_fault_only(hand: Hand) -> None:
    hand.follower.fail(TORQUE_OFF)
    hand.follower.recovered(hand.now, fault=TORQUE_OFF)
    assert hand.state is DriverState.READY
    hand.follower.fail("something else")
    hand.follower.fail(TORQUE_OFF)
    hand.follower.recovered(hand.now, fault=TORQUE_OFF)
    assert hand.reason == "something else"


def test_the_way_to_neutral_is_slow_and_ends_there(hand: Hand) -> None:
    hand.now += 1.0
    hand.follower.observe(hand.at, hand.now)
    hand.follower.go_to_neutral(hand.now)
    while hand.follower.neutral_end() is None:
        hand.cycle()
    assert hand.follower.neutral_end() == ""
    np.testing.assert_array_equal(hand.at, MODEL.neutral)
    assert np.abs(np.diff(hand.sent, axis=0)).max() <= 0.5 * CYCLE + 1e-9


def test_neutral_is_refused_while_commands_arrive_even_refused_ones(hand: Hand) -> None:
    hand.now += 1.0
    hand.follower.observe(hand.at, hand.now)
    with pytest.raises(CommandRefused):
        hand.command(math.nan, 0.0, 0.0)
    with pytest.raises(HandRefused, match="commands arrive"):
        hand.follower.go_to_neutral(hand.now + 0.1)
    hand.follower.go_to_neutral(hand.now + 0.2)


def test_a_command_ends_the_way_to_neutral_where_it_is(hand: Hand) -> None:
    hand.now += 1.0
    hand.follower.observe(hand.at, hand.now)
    hand.follower.go_to_neutral(hand.now)
    hand.cycle(5)
    on_the_way = hand.at
    hand.command(*on_the_way)
    assert hand.follower.neutral_end() == "a command came"
    hand.cycle(3)
    np.testing.assert_array_equal(hand.at, on_the_way)


def test_neutral_is_refused_in_a_fault_and_ended_by_one(hand: Hand) -> None:
    hand.now += 1.0
    hand.follower.observe(hand.at, hand.now)
    hand.follower.go_to_neutral(hand.now)
    hand.follower.fail("broken")
    assert hand.follower.neutral_end() == "broken"
    with pytest.raises(HandRefused, match="broken"):
        hand.follower.go_to_neutral(hand.now + 1)


position = st.one_of(st.floats(-3, 3), st.sampled_from([math.nan, math.inf, -math.inf]))
events = st.lists(
    st.one_of(
        st.tuples(st.just("command"), st.tuples(position, position, position)),
        st.tuples(
            st.just("step"), st.tuples(st.floats(-0.4, 0.4), st.floats(-0.4, 0.4), st.floats(-0.4, 0.4))
        ),
        st.tuples(st.just("cycle"), st.integers(1, 12)),
        st.tuples(st.just("stop"), st.booleans()),
        st.tuples(st.just("recover"), st.none()),
        st.tuples(st.just("fail"), st.none()),
        st.tuples(st.just("neutral"), st.none()),
        st.tuples(st.just("active"), st.booleans()),
    ),
    max_size=60,
)


def happen(hand: Hand, kind: str, value: object) -> None:
    follower = hand.follower
    follower.observe(hand.at, hand.now)  # the hand is where it was sent, and the driver knows it
    try:
        if kind == "command":
            hand.command(*value)  # type: ignore[misc]
        elif kind == "step":
            hand.command(*(hand.at + value))  # type: ignore[operator]
        elif kind == "stop":
            follower.emergency_stop(bool(value))
        elif kind == "recover":
            follower.recovered(hand.now)
        elif kind == "fail":
            follower.fail("a fault")
        elif kind == "neutral":
            follower.go_to_neutral(hand.now)
        elif value:
            follower.activate(hand.now)
        else:
            follower.deactivate("inactive")
    except (CommandRefused, HandRefused):
        pass


@given(events)
def test_whatever_happens_what_is_sent_is_finite_in_range_and_within_the_slew(
    happenings: list[tuple[str, object]],
) -> None:
    hand = Hand().ready()
    for kind, value in happenings:
        followed = hand.state is DriverState.READY
        if kind == "cycle":
            hand.cycle(int(value))  # type: ignore[call-overload]
        else:
            happen(hand, kind, value)
            followed = hand.state is DriverState.READY
        if not followed:
            still = hand.at
            hand.cycle(2)
            np.testing.assert_array_equal(hand.at, still)
    sent = np.array(hand.sent)
    assert np.isfinite(sent).all()
    assert (sent >= MODEL.low).all() and (sent <= MODEL.high).all()
    assert (np.abs(np.diff(sent, axis=0)) <= SPEEDS * CYCLE + 1e-9).all()
