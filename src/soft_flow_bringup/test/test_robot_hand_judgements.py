"""What is said of a hand: pure judgements."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st
from judgement_check import require_judged
from robot_measurements_maker import CELL, JOINTS, hand, hand_reading, spread

from soft_flow_bringup.finding import Finding, Verdict
from soft_flow_bringup.robot_doctor import hand_judgements as judge
from soft_flow_bringup.robot_doctor.hand_measurements import (
    HandCalibration,
    latency_timer,
    motors_of,
    read_calibration,
)
from soft_flow_contract.errors import SpecificationError

GOOD, NOTE, FAULT = Verdict.GOOD, Verdict.NOTE, Verdict.FAULT
ALL = hand_reading()


def without(*motors: int) -> dict[int, int]:
    return {motor: model for motor, model in ALL.models.items() if motor not in motors}


def port(outcome: str, problem: str = "") -> Finding:
    return judge.judge_port(hand(outcome=outcome, problem=problem, reading=None))


def motors(**changes: Any) -> Finding:
    return judge.judge_motors(hand_reading(**changes), JOINTS, 3_000_000)


def voltages(**changes: Any) -> Finding:
    return judge.judge_voltages(hand_reading(**changes), JOINTS)


def temperature(hottest: int) -> Finding:
    return judge.judge_temperatures(hand_reading(temperatures={1: 30, 4: hottest}), JOINTS, 65.0)


def errors(error: int) -> Finding:
    return judge.judge_hardware_errors(hand_reading(hardware_errors={8: error, 9: 0}), JOINTS)


def calibration(state: str) -> Finding:
    return judge.judge_calibration(
        HandCalibration.model_validate({"path": "hand.yaml", "state": state, "uncalibrated": ("wrist",)})
    )


@pytest.mark.parametrize(
    ("finding", "verdict", "mentions"),
    [
        (port("measured"), GOOD, "/dev/ttyUSB0"),
        (port("running"), NOTE, "end the graph"),
        (port("no_port"), FAULT, "ls -l /dev/serial/by-id"),
        (port("no_permission"), FAULT, "usermod -aG dialout"),
        (port("in_use", "another program holds it"), FAULT, "fuser -v /dev/ttyUSB0"),
        (port("failed", "unplugged?"), FAULT, "unplugged?"),
        (judge.judge_latency(1, "/dev/ttyUSB0"), GOOD, "1 ms"),
        (judge.judge_latency(16, "/dev/ttyUSB3"), NOTE, "devices/ttyUSB3/latency_timer"),
        (motors(), GOOD, "all 17"),
        (motors(models={}), FAULT, "none of 17 answers at 3000000"),
        (motors(models=without(3)), FAULT, "1 of 17 do not answer: index_mcp (3)"),
        (motors(models={**ALL.models, 3: 1200}), NOTE, "index_mcp (3): model 1200"),
        (motors(models={**ALL.models, 1: 1220}), NOTE, "wrist (1): XC330-T288-T"),
        (judge.judge_sweeps(ALL), GOOD, "p50 2.4"),
        (judge.judge_sweeps(hand_reading(sweeps=spread(16.0, 18.0))), NOTE, "10 ms"),
        (judge.judge_sweeps(hand_reading(sweeps=spread(9, 9), return_delay=500)), NOTE, "500 us"),
        (judge.judge_sweeps(hand_reading(failed_sweeps=10)), NOTE, "bytes get lost"),
        (judge.judge_sweeps(hand_reading(failed_sweeps=900)), FAULT, "900 of 1000"),
        (judge.judge_sweeps(hand_reading(sweeps=None, failed_sweeps=20)), FAULT, "20 of 20"),
        (judge.judge_sweeps(hand_reading(sweeps=spread(100, 180))), FAULT, "150 ms"),
        (errors(0), GOOD, "no motor"),
        (errors(0x20), FAULT, "ring_pip (8): overloaded"),
        (errors(0x05), FAULT, "input voltage out of its range, overheated"),
        (errors(0x42), FAULT, "unknown error 0x42"),
        (temperature(40), GOOD, "index_abd (4): 40 C"),
        (temperature(60), NOTE, "before you begin"),
        (temperature(65), FAULT, "the cell allows 65"),
        (judge.judge_temperatures(hand_reading(temperatures={}), JOINTS, 65), NOTE, "no motor said"),
        (voltages(), GOOD, "12.0 to 12.0 V"),
        (voltages(voltages={**ALL.voltages, 1: 16.5}), FAULT, "wrist (1)"),
        (voltages(voltages={**ALL.voltages, 16: 10.5}), NOTE, "thumb_dip (16)"),
        (voltages(voltages=dict.fromkeys(ALL.voltages, 9.0)), NOTE, "11.1"),
        (voltages(voltages={}), NOTE, "no motor said"),
        (calibration("complete"), GOOD, "hand.yaml"),
        (calibration("missing"), FAULT, "hand/calibrate"),
        (calibration("broken"), FAULT, "cannot be read"),
        (calibration("incomplete"), FAULT, "wrist"),
    ],
)
def test_a_measurement_of_the_hand_is_judged_and_a_bad_one_says_what_to_do(
    finding: Finding, verdict: Verdict, mentions: str
) -> None:
    require_judged(finding, verdict, mentions)


def test_a_hand_on_which_nothing_is_wrong_has_only_good_findings() -> None:
    findings = judge.judge_hand(hand(), CELL.hand)
    assert {finding.verdict for finding in findings} == {GOOD}
    assert len({finding.subject for finding in findings}) == len(findings) == 8


def test_of_a_bus_on_which_no_motor_answers_nothing_else_is_said() -> None:
    silent = hand_reading(models={}, sweeps=None, temperatures={}, voltages={}, hardware_errors={})
    subjects = [finding.subject for finding in judge.judge_hand(hand(reading=silent), CELL.hand)]
    assert subjects == ["Hand port", "Hand USB latency", "Hand motors", "Hand calibration"]


@given(missing=st.sets(st.sampled_from(sorted(JOINTS))))
def test_every_motor_that_is_missing_is_named_by_its_joint(missing: set[int]) -> None:
    finding = motors(models=without(*missing))
    assert (finding.verdict is FAULT) == bool(missing)
    if 0 < len(missing) < len(JOINTS):
        assert all(f"{JOINTS[motor]} ({motor})" in finding.detail for motor in missing)


@given(st.integers(0, 255))
def test_every_hardware_error_has_words(error: int) -> None:
    assert bool(judge.hardware_error_words(error)) == bool(error)


@given(temperatures=st.dictionaries(st.sampled_from(sorted(JOINTS)), st.integers(0, 120), min_size=1))
def test_no_hand_with_a_motor_at_its_limit_may_go_on(temperatures: dict[int, int]) -> None:
    finding = judge.judge_temperatures(hand_reading(temperatures=temperatures), JOINTS, 65.0)
    assert (finding.verdict is FAULT) == (max(temperatures.values()) >= 65)


def test_the_latency_timer_is_that_of_the_ports_adapter(tmp_path: Path) -> None:
    (tmp_path / "ttyUSB3").mkdir()
    (tmp_path / "ttyUSB3" / "latency_timer").write_text("16\n")
    assert latency_timer("/dev/ttyUSB3", tmp_path) == 16
    assert latency_timer("/dev/ttyACM0", tmp_path) is None


@pytest.mark.parametrize(
    ("content", "state"),
    [
        ("motor_limits: {1: [-1.0, 2.0], 2: [0.0, 3.0]}", "complete"),
        ("motor_limits: {1: [-1.0, 2.0], 2: [null, null]}", "incomplete"),
        ("motor_limits: {1: [-1.0, 2.0]}", "incomplete"),
        ("motor_limits: 5", "broken"),
        ("calibrated: true", "broken"),
        ("", "broken"),
        ("{", "broken"),
        (None, "missing"),
    ],
)
def test_a_calibration_counts_only_if_it_knows_every_motor(
    content: str | None, state: str, tmp_path: Path
) -> None:
    file = tmp_path / "hand.yaml"
    if content is not None:
        file.write_text(content)
    found = read_calibration(file, {1: "wrist", 2: "index_pip"})
    assert found.state == state
    assert found.uncalibrated == (("index_pip",) if state == "incomplete" else ())


def test_the_motors_are_those_of_orca_cores_configuration() -> None:
    assert sorted(JOINTS) == list(range(1, 18))
    assert JOINTS[7] == "ring_mcp"  # turns the other way: -7 there
    with pytest.raises(SpecificationError, match="no hand v9 orcahand-right"):
        motors_of("v9", "orcahand-right")


def test_a_calibration_of_orca_core_is_understood(tmp_path: Path) -> None:
    file = tmp_path / "hand.yaml"
    limits = {motor: [-1.0, 1.0] for motor in JOINTS}
    file.write_text(yaml.safe_dump({"motor_limits": limits, "calibrated": True, "wrist_calibrated": True}))
    assert read_calibration(file, JOINTS).state == "complete"
