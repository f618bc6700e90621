"""What the benchmark of the arm's driver makes of the controller's own record."""

import sys
from pathlib import Path

import numpy as np
import pytest

sys.path.insert(0, str(Path(__file__).parents[1] / "benchmarks"))
from arm_trace import TICK, Drive, Sent  # noqa: E402

from soft_flow_contract.pose import Pose  # noqa: E402

START = Pose(np.array([0.45, 0.0, 0.5]), np.array([1.0, 0.0, 0.0, 0.0]))


def record(until: float, speed: float, length: float = 2.0) -> Sent:
    """A joint that moves at a speed (rad/s) until a time, sent every millisecond from 100 s on."""
    time = 0.001 * np.arange(round(1000 * length))
    position = np.zeros((time.size, 7))
    position[:, 3] = speed * np.minimum(time, until)
    return Sent(100.0 + time, position)


def test_a_state_is_known_by_its_positions_in_single_precision() -> None:
    sent = record(until=2.0, speed=0.5)
    position = sent.position[[100, 700]].astype(np.float32).astype(np.float64)
    assert sent.latencies(np.array([100.105, 100.7025]), position) == pytest.approx([0.005, 0.0025])


def test_states_of_a_standing_arm_and_unknown_ones_are_left_out() -> None:
    sent = record(until=1.0, speed=0.5)
    position = np.vstack([sent.position[1500], np.ones(7), sent.position[500]])
    assert sent.latencies(np.array([101.6, 101.7, 100.501]), position) == pytest.approx([0.001])


def test_motion_is_over_when_no_joint_is_faster_than_what_counts_as_standing() -> None:
    assert record(until=0.8, speed=0.5).motion_over(100.6) == pytest.approx(0.218, abs=0.003)
    assert record(until=0.8, speed=0.04).motion_over(100.6) == 0.0
    assert record(until=0.5, speed=0.5).motion_over(100.6) == 0.0


def test_a_drive_goes_as_fast_as_it_says_and_is_cut_off_where_it_is_fastest() -> None:
    targets = list(Drive(speed=0.2, angular_frequency=2.0, periods=3).targets(START))
    y = np.array([target.position[1] for _, target in targets])
    assert np.abs(np.diff(y)).max() / TICK == pytest.approx(0.2, rel=0.01)
    assert (y[-1] - y[-2]) / TICK == pytest.approx(0.2, rel=0.02)
    assert [due for due, _ in targets] == pytest.approx(list(TICK * np.arange(len(targets))))
