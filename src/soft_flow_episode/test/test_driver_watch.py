"""Without its drivers nothing is armed."""

import pytest
from arbiter_maker import START, action, begin_policy, is_hold_of, robot_at

from soft_flow_episode.arbiter import Arbiter, ModeRefusedError
from soft_flow_episode.command import Mode
from soft_flow_episode.driver_watch import DriverWatch


def test_every_driver_has_to_say_that_it_is_ready() -> None:
    watch = DriverWatch(["arm", "hand"], patience=3.0)
    assert "arm's driver has said nothing" in watch.problem(0.0)
    watch.hear("arm", 0.0, ready=True, reason="")
    assert "hand's driver has said nothing" in watch.problem(0.0)
    watch.hear("hand", 0.0, ready=False, reason="motor 4 is hot")
    assert watch.problem(0.0) == "the hand's driver: motor 4 is hot"
    watch.hear("hand", 0.5, ready=True, reason="")
    assert watch.problem(0.5) == ""


def test_a_driver_that_falls_silent_is_missing() -> None:
    watch = DriverWatch(["arm"], patience=3.0)
    watch.hear("arm", 10.0, ready=True, reason="")
    assert watch.problem(13.0) == ""
    assert "fell silent 3.5 s ago" in watch.problem(13.5)


def test_a_simulated_robot_has_no_drivers_to_wait_for() -> None:
    assert DriverWatch([], patience=3.0).problem(100.0) == ""


def test_the_arbiter_disarms_when_a_driver_does_not_follow_and_says_why(arbiter: Arbiter) -> None:
    begin_policy(arbiter, action(0.1))
    assert arbiter.armed
    assert arbiter.note_drivers("the arm's driver: reflex")
    assert not arbiter.armed and arbiter.stop_reason == "the arm's driver: reflex"
    assert is_hold_of(arbiter.answer(START, at_deadline=True), robot_at())


@pytest.mark.parametrize("mode", [Mode.POLICY, Mode.TELEOP])
def test_nothing_is_armed_while_a_driver_does_not_follow(arbiter: Arbiter, mode: Mode) -> None:
    arbiter.note_drivers("the hand's driver: bus silent")
    with pytest.raises(ModeRefusedError, match="bus silent.*recover"):
        arbiter.set_mode(mode, START)
    arbiter.set_mode(Mode.HOLD, START)
    arbiter.note_drivers("")
    assert arbiter.set_mode(mode, START)
