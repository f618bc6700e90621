"""What is said of a graph that runs: pure judgements."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from judgement_check import require_judged
from robot_measurements_maker import ROOT, spread, topic

from soft_flow_bringup.finding import Finding, Verdict
from soft_flow_bringup.robot_doctor import graph_judgements as judge
from soft_flow_bringup.robot_doctor.camera_judgements import MAX_AGE
from soft_flow_bringup.robot_doctor.graph_measurements import DriverSaid, GraphMeasured

GOOD, NOTE, FAULT = Verdict.GOOD, Verdict.NOTE, Verdict.FAULT
ARM = "arm/joint_states"


def of_topic(name: str = ARM, simulated: bool = False, **changes: object) -> Finding:
    return judge.judge_topic(name, topic(**changes), simulated)


def driver(state: int, reason: str = "") -> Finding:
    return judge.judge_driver("hand", DriverSaid(state=state, reason=reason))


@pytest.mark.parametrize(
    ("finding", "verdict", "mentions"),
    [
        (of_topic(), GOOD, "200.0 Hz"),
        (of_topic(messages=0, intervals=None, ages=None), FAULT, "silent"),
        (of_topic(publishers=2), FAULT, "two graphs"),
        (of_topic(rate=15.0), FAULT, "20 Hz"),
        (of_topic(ages=spread(70.0)), FAULT, "40 ms"),
        (of_topic("cameras/external/image_raw", ages=spread(70.0)), GOOD, ""),
        (of_topic("cameras/external/image_raw", ages=spread(120.0)), FAULT, "100 ms"),
        (of_topic(intervals=spread(5.0, 66.0)), NOTE, "at times older"),
        (of_topic(ages=spread(-30.0)), FAULT, "ahead of this computer's clock"),
        (of_topic(ages=spread(-30.0), simulated=True), GOOD, ""),
        (driver(1), GOOD, "READY"),
        (driver(0, "not active"), FAULT, "not active"),
        (driver(2, "emergency stop"), NOTE, "emergency_reset"),
        (driver(3, "the port is lost"), FAULT, "call hand/recover"),
        (driver(9), FAULT, "unknown (9)"),
        (judge.judge_commands("arm/target_pose", ("/command_arbiter_node",)), GOOD, "arbiter"),
        (judge.judge_commands("arm/target_pose", ()), GOOD, "nobody"),
        (judge.judge_commands("arm/target_pose", ("/a", "/b")), FAULT, "/a, /b"),
    ],
)
def test_what_a_graph_says_is_judged_and_a_bad_finding_says_what_to_do(
    finding: Finding, verdict: Verdict, mentions: str
) -> None:
    require_judged(finding, verdict, mentions)


def test_a_graph_that_does_not_run_is_no_fault_and_its_domain_is_named() -> None:
    (finding,) = judge.judge_graph(GraphMeasured(), "7")
    assert finding.verdict is GOOD
    assert "domain 7" in finding.detail


def test_a_probe_that_failed_is_a_fault() -> None:
    (finding,) = judge.judge_graph(GraphMeasured(problem="no rclpy"), "0")
    assert finding.verdict is FAULT
    assert "no rclpy" in finding.detail


def test_everything_that_runs_has_a_row() -> None:
    graph = GraphMeasured(
        running=True,
        topics={ARM: topic(), "cameras/external/image_raw": topic()},
        drivers={"arm": DriverSaid(state=1, reason="")},
        command_publishers={"arm/target_pose": ("/command_arbiter_node",)},
    )
    subjects = [finding.subject for finding in judge.judge_graph(graph, "0")]
    assert subjects == ["Graph", "arm/target_pose", "arm/driver_state", ARM, "cameras/external/image_raw"]
    assert graph.drives("arm") and not graph.drives("hand")
    assert graph.cameras == ["external"]


@given(rate=st.floats(0, 1000), interval=st.floats(0, 500), age=st.floats(-500, 500), simulated=st.booleans())
def test_only_topics_that_an_observation_can_use_are_called_good(
    rate: float, interval: float, age: float, simulated: bool
) -> None:
    finding = of_topic(rate=rate, intervals=spread(interval), ages=spread(age), simulated=simulated)
    if finding.verdict is GOOD:
        assert rate >= 18
        assert age + interval <= 40
        assert simulated or age >= -2


def test_the_ages_allowed_are_those_of_the_launch_file() -> None:
    text = Path(ROOT / "launch" / "robot.launch.xml").read_text()
    assert f'name="state_max_age" value="{judge.MAX_AGES[ARM] / 1e3:.2f}"' in text
    assert f'name="camera_max_age" value="{MAX_AGE / 1e3:.1f}"' in text
    assert judge.CAMERA_MAX_AGE == MAX_AGE
