"""How the benchmark of faults judges a stop."""

import sys
from pathlib import Path

import numpy as np
import pytest

sys.path.insert(0, str(Path(__file__).parents[1] / "benchmarks"))
from fault_injection.motion import ARM_DRIFT, LIMIT_S, Motion, judge  # noqa: E402

TIME = np.arange(-0.5, 1.3, 0.002)
LATE = 0.03  # s by which a speed over the last 20 ms, and a sample, may be behind


def motion_of(moving: np.ndarray, speed: float = 0.3) -> Motion:
    """An arm whose first joint moves at a speed (rad/s) while `moving`; the hand stands."""
    arm = np.zeros((TIME.size, 7))
    arm[:, 0] = np.cumsum(np.where(moving, speed, 0.0)) * 0.002
    return Motion(TIME, arm, np.zeros((TIME.size, 17)))


def test_the_stop_is_the_end_of_motion() -> None:
    stop = judge(motion_of(TIME < 0.15))
    assert 0.15 - 0.002 <= stop.stop_s <= 0.15 + LATE
    assert stop.holds and stop.moved_before and stop.last == "arm"


def test_motion_that_goes_on_beyond_the_limit_does_not_hold() -> None:
    stop = judge(motion_of(TIME < 0.32))
    assert stop.stop_s >= 0.32 - 0.002 and not stop.holds


def test_a_pause_within_the_limit_is_not_the_end() -> None:
    stop = judge(motion_of((TIME < 0.02) | ((TIME > 0.15) & (TIME < 0.2))))
    assert 0.2 - 0.002 <= stop.stop_s <= 0.2 + LATE


def test_motion_after_a_rest_is_no_stop_but_drift() -> None:
    stop = judge(motion_of((TIME < 0.1) | ((TIME > 0.8) & (TIME < 1.0))))
    assert stop.stop_s <= 0.1 + LATE
    assert stop.drift_arm == pytest.approx(0.06, abs=0.002) and stop.drift_arm > ARM_DRIFT
    assert not stop.holds


def test_a_robot_that_stood_was_not_put_to_the_test() -> None:
    assert not judge(motion_of(TIME < -0.3)).moved_before


def test_samples_that_end_too_early_are_no_proof() -> None:
    short = motion_of(TIME < 0.1)
    kept = TIME < 1.5 * LIMIT_S
    with pytest.raises(ValueError, match="before the motion has to be over"):
        judge(Motion(short.time_s[kept], short.arm[kept], short.hand[kept]))


def test_a_gap_in_which_nothing_was_seen_is_found() -> None:
    whole = motion_of(TIME < 0.1)
    kept = (TIME < 0.0) | (TIME > 0.14)
    assert whole.longest_gap() == pytest.approx(0.002)
    assert Motion(whole.time_s[kept], whole.arm[kept], whole.hand[kept]).longest_gap() >= 0.14
