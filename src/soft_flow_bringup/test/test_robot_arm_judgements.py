"""What is said of an arm: pure judgements."""

from __future__ import annotations

import re
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from judgement_check import require_judged
from robot_measurements_maker import CELL, arm, arm_reading, realtime, spread

from soft_flow_bringup.finding import Finding, Verdict
from soft_flow_bringup.robot_doctor import arm_judgements as judge
from soft_flow_bringup.robot_doctor.arm_probe import clock_drift, lost_states
from soft_flow_franka_bringup.joint_limits import LIMITS

GOOD, NOTE, FAULT = Verdict.GOOD, Verdict.NOTE, Verdict.FAULT
ARM = CELL.arm
LOCAL = ARM.model_copy(update={"realtime": "ignore", "address": "127.0.3.37"})
PAST_ITS_END = [*ARM.home[:3], LIMITS["fr3"].low[3] - 0.1, *ARM.home[4:]]
AT_ITS_END = [*ARM.home[:3], LIMITS["fr3"].low[3] + 0.01, *ARM.home[4:]]


def contact(outcome: str, problem: str = "") -> Finding:
    return judge.judge_contact(arm(outcome=outcome, problem=problem, reading=None))


@pytest.mark.parametrize(
    ("finding", "verdict", "mentions"),
    [
        (contact("measured"), GOOD, "free"),
        (contact("running"), NOTE, "end the graph"),
        (contact("refused"), FAULT, "Activate FCI"),
        (contact("unreachable", "timed out"), FAULT, "timed out"),
        (contact("busy", "no answer"), FAULT, "serves one client"),
        (contact("incompatible", "server 5, library 10"), FAULT, "README"),
        (contact("failed", "no answer within 20 s while connecting"), FAULT, "while connecting"),
        (judge.judge_network([0.3, 0.3, 0.4]), GOOD, "p50 0.30"),
        (judge.judge_network([4.0, 5.0, 6.0]), NOTE, "WLAN"),
        (judge.judge_network([0.2, 0.2, 300.0]), NOTE, "longest 300.00"),
        (judge.judge_states(arm_reading()), GOOD, "1000 a second"),
        (judge.judge_states(arm_reading(lost=100, states=1900)), NOTE, "100 not seen (5.0%)"),
        (judge.judge_states(arm_reading(intervals=spread(1.0, 2.0, 44.0))), NOTE, "communication_test"),
        (judge.judge_states(arm_reading(drift=-450_000)), NOTE, "differently"),
        (judge.judge_states(arm_reading(states=1)), FAULT, "stands still"),
        (judge.judge_mode(arm_reading()), GOOD, "Idle"),
        (judge.judge_mode(arm_reading(last_errors=("joint_reflex",))), GOOD, "a collision"),
        (judge.judge_mode(arm_reading(mode="UserStopped")), FAULT, "the user stop is pressed"),
        (judge.judge_mode(arm_reading(mode="Other")), FAULT, "open Desk"),
        (
            judge.judge_mode(arm_reading(mode="Reflex", errors=("cartesian_reflex",))),
            FAULT,
            "a push at the flange",
        ),
        (judge.judge_joints(arm_reading(), ARM), GOOD, "nearest"),
        (judge.judge_joints(arm_reading(position=AT_ITS_END), ARM), NOTE, "joint 4"),
        (judge.judge_joints(arm_reading(position=PAST_ITS_END), ARM), FAULT, "joint 4 is 0.10 rad past"),
        (judge.judge_payload(arm_reading(), ARM.payload), GOOD, "1.12 kg are set"),
        (judge.judge_payload(arm_reading(load_mass=0.0), ARM.payload), GOOD, "when it connects"),
        (judge.judge_payload(arm_reading(end_effector_mass=0.73), ARM.payload), NOTE, "counts twice"),
        (judge.judge_payload(arm_reading(external_force=(0, 0, 9.0)), ARM.payload), NOTE, "weigh"),
        (judge.judge_realtime(realtime(), ARM), GOOD, "PREEMPT_RT"),
        (judge.judge_realtime(realtime(preempt_rt=False), ARM), FAULT, "boot a PREEMPT_RT kernel"),
        (judge.judge_realtime(realtime(priority=0), ARM), FAULT, "limits.conf"),
        (judge.judge_realtime(realtime(preempt_rt=False), LOCAL), GOOD, "ignore"),
        (
            judge.judge_realtime(realtime(preempt_rt=False), ARM.model_copy(update={"realtime": "ignore"})),
            NOTE,
            "communication errors",
        ),
        (judge.judge_governors(realtime()), GOOD, "performance on 16"),
        (judge.judge_governors(realtime(governors={})), GOOD, "none"),
        (judge.judge_governors(realtime(governors={"powersave": 4, "performance": 4})), NOTE, "cpupower"),
    ],
)
def test_a_measurement_of_the_arm_is_judged_and_a_bad_one_says_what_to_do(
    finding: Finding, verdict: Verdict, mentions: str
) -> None:
    require_judged(finding, verdict, mentions)


def test_an_arm_on_which_nothing_is_wrong_has_only_good_findings() -> None:
    findings = judge.judge_arm(arm(), ARM)
    assert {finding.verdict for finding in findings} == {GOOD}
    assert len({finding.subject for finding in findings}) == len(findings) == 6


@given(
    outcome=st.sampled_from(["running", "refused", "unreachable", "busy", "incompatible", "failed"]),
    times=st.lists(st.floats(0, 1e4), max_size=5),
)
def test_what_could_not_be_measured_is_never_called_good(outcome: str, times: list[float]) -> None:
    findings = judge.judge_arm(arm(outcome=outcome, problem="why", connect_ms=times, reading=None), ARM)
    assert [finding.verdict is GOOD for finding in findings] == [False]


@given(
    states=st.integers(0, 5000),
    lost=st.integers(0, 5000),
    drift=st.floats(-1e6, 1e6),
    intervals=st.one_of(st.none(), st.builds(spread, st.floats(0, 1e4))),
)
def test_whatever_was_read_has_a_verdict_and_all_but_good_ones_a_remedy(**reading: Any) -> None:
    finding = judge.judge_states(arm_reading(**reading))
    assert bool(finding.remedy) == (finding.verdict is not GOOD)


@given(position=st.lists(st.floats(-4, 4), min_size=7, max_size=7))
def test_no_joint_beyond_its_end_is_called_good(position: list[float]) -> None:
    limits, finding = LIMITS["fr3"], judge.judge_joints(arm_reading(position=position), ARM)
    outside = np.any(np.array(position) < limits.low) or np.any(np.array(position) > limits.high)
    assert (finding.verdict is FAULT) == bool(outside)


@given(st.sets(st.integers(0, 300), min_size=1))
def test_states_that_are_missing_between_others_are_counted(stamps: set[int]) -> None:
    expected = max(stamps) - min(stamps) + 1 - len(stamps)
    assert lost_states(np.array(sorted(stamps), np.int64)) == expected


def test_states_that_come_twice_are_not_lost() -> None:
    assert lost_states(np.array([1, 1, 2, 2, 3], np.int64)) == 0


@given(drift=st.floats(-2000, 2000), seed=st.integers(0, 99))
def test_a_clock_that_runs_differently_is_found_through_delays_that_vary(drift: float, seed: int) -> None:
    random = np.random.default_rng(seed)
    stamps = np.arange(2000)
    delays = 2e-4 + random.exponential(3e-4, stamps.size)
    arrivals = np.maximum.accumulate(stamps * 1e-3 / (1 + drift * 1e-6) + delays)
    assert clock_drift(stamps, arrivals) == pytest.approx(drift, abs=100)


def test_the_words_for_an_error_are_those_of_the_driver() -> None:
    finding = judge.judge_mode(
        arm_reading(mode="Reflex", errors=("joint_reflex", "self_collision_avoidance_violation"))
    )
    assert re.search("collision_torque of the cell.*would have met itself", finding.detail)
