"""Emergency stop latch, cell, clock and disk: measured from files of a test, and judged."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from judgement_check import require_judged
from robot_measurements_maker import CELL, ROOT, TASK

from soft_flow_bringup.doctor_judgements import GIB
from soft_flow_bringup.finding import Finding, Verdict
from soft_flow_bringup.robot_doctor import machine_judgements as judge
from soft_flow_bringup.robot_doctor.machine_measurements import (
    ClockMeasured,
    DiskMeasured,
    LatchMeasured,
    chrony_said,
    latch_file,
    measure_disk,
    measure_realtime,
    read_latch,
    systemd_said,
)
from soft_flow_contract.robot_cell import RobotCell
from soft_flow_episode.emergency_latch import EmergencyLatch, default_latch_path

GOOD, NOTE, FAULT = Verdict.GOOD, Verdict.NOTE, Verdict.FAULT
TRACKING = "C0000201,192.0.2.1,3,1732550000.1,{offset},0.00002,0.00003,-1.2,0.0,0.02,0.01,0.001,64.2,{leap}\n"


def latch(state: str, said: bool | None = None) -> Finding:
    measured = LatchMeasured.model_validate({"path": "latch.json", "state": state, "reason": "service call"})
    return judge.judge_latch(measured, said)


def clock(**values: Any) -> Finding:
    return judge.judge_clock(ClockMeasured(**values))


def disk(**values: Any) -> Finding:
    return judge.judge_episode_disk(
        DiskMeasured(**{"folder": "runs", "free": 50 * GIB, "speed": 300.0, **values})
    )


def cameras(*names: str) -> Finding:
    kept = tuple(CELL.cameras[0].model_copy(update={"name": name}) for name in names)
    return judge.judge_cell(CELL.model_copy(update={"cameras": kept}), TASK)[0]


def joints(cell: RobotCell) -> Finding:
    return judge.judge_cell(cell, TASK)[1]


STRANGE_START = CELL.start.model_copy(update={"hand": {"index_dip": 0.1}})
PANDA = RobotCell.load(ROOT / "config" / "robots" / "panda_orca_right.yaml")


@pytest.mark.parametrize(
    ("finding", "verdict", "mentions"),
    [
        (latch("absent"), GOOD, "never pressed"),
        (latch("released"), GOOD, "released"),
        (latch("engaged"), FAULT, "service call"),
        (latch("broken"), FAULT, "counts as pressed"),
        (latch("released", said=True), FAULT, "the running arbiter says"),
        (latch("engaged", said=True), FAULT, "emergency_reset"),
        (latch("released", said=False), GOOD, "released"),
        (judge.remind_of_the_robots_own_stop(), NOTE, "UserStopped"),
        (cameras("wrist_palm", "wrist_back", "external"), GOOD, "external"),
        (cameras("wrist_palm", "wrist_back"), FAULT, "wants external"),
        (cameras(), NOTE, "protocol_sim"),
        (joints(CELL), GOOD, "as in the task"),
        (joints(PANDA), FAULT, "panda_joint1"),
        (joints(CELL.model_copy(update={"start": STRANGE_START})), FAULT, "index_dip"),
        (clock(synchronized=True, offset_ms=0.2, source="chrony"), GOOD, "+0.200 ms"),
        (clock(synchronized=True, source="timedatectl"), GOOD, "timedatectl"),
        (clock(synchronized=True, offset_ms=12.0, source="chrony"), NOTE, "settle"),
        (clock(synchronized=False, source="timedatectl"), NOTE, "set-ntp true"),
        (clock(synchronized=None), NOTE, "chrony"),
        (disk(), GOOD, "300 MiB/s"),
        (disk(speed=8.0), NOTE, "faster"),
        (disk(free=2 * GIB), NOTE, "emptier"),
        (disk(speed=0.5), FAULT, "local disk"),
        (disk(free=GIB // 2), FAULT, "make room"),
        (disk(problem="cannot be written: Permission denied"), FAULT, "--episodes"),
    ],
)
def test_a_measurement_of_cell_and_computer_is_judged_and_a_bad_one_says_what_to_do(
    finding: Finding, verdict: Verdict, mentions: str
) -> None:
    require_judged(finding, verdict, mentions)


def test_the_latch_is_looked_for_where_the_arbiter_keeps_it(monkeypatch: pytest.MonkeyPatch) -> None:
    assert latch_file() == default_latch_path()
    monkeypatch.setenv("ROS_HOME", "/somewhere")
    assert latch_file() == default_latch_path() == Path("/somewhere/soft_flow/emergency_stop.json")


def test_the_latch_of_the_arbiter_is_understood_and_not_touched(tmp_path: Path) -> None:
    file = tmp_path / "latch.json"
    assert read_latch(file).state == "absent"
    arbiter = EmergencyLatch(file)
    assert read_latch(file).state == "released"
    arbiter.engage("service call")
    before = file.read_bytes()
    assert read_latch(file) == LatchMeasured(path=str(file), state="engaged", reason="service call")
    assert file.read_bytes() == before


@pytest.mark.parametrize("content", ["", "[]", "{}", '{"stopped": 1, "reason": ""}', "\0"])
def test_a_latch_that_cannot_be_understood_counts_as_pressed_for_both(content: str, tmp_path: Path) -> None:
    file = tmp_path / "latch.json"
    file.write_text(content)
    assert read_latch(file).state == "broken"
    assert EmergencyLatch(file).engaged


@pytest.mark.parametrize(
    ("said", "expected"),
    [
        (chrony_said(TRACKING.format(offset="-0.000012", leap="Normal")), (True, -0.012)),
        (chrony_said(TRACKING.format(offset="0.0", leap="Not synchronised")), (False, 0.0)),
        (chrony_said("506 Cannot talk to daemon"), (None, None)),
        (systemd_said("NTP=yes\nNTPSynchronized=yes\n"), (True, None)),
        (systemd_said("NTP=yes\nNTPSynchronized=no\n"), (False, None)),
        (systemd_said(""), (None, None)),
    ],
)
def test_what_the_clocks_keepers_print_is_understood(
    said: ClockMeasured, expected: tuple[bool | None, float | None]
) -> None:
    assert (said.synchronized, said.offset_ms) == expected


def test_kernel_and_governors_are_read_from_the_kernels_files(tmp_path: Path) -> None:
    for number, name in enumerate(["powersave", "performance", "powersave"]):
        file = tmp_path / f"devices/system/cpu/cpu{number}/cpufreq/scaling_governor"
        file.parent.mkdir(parents=True)
        file.write_text(name + "\n")
    measured = measure_realtime(tmp_path)
    assert measured.governors == {"powersave": 2, "performance": 1}
    assert not measured.preempt_rt
    (tmp_path / "kernel").mkdir()
    (tmp_path / "kernel" / "realtime").write_text("1\n")
    assert measure_realtime(tmp_path).preempt_rt


def test_the_disk_is_tried_in_the_nearest_folder_that_exists_and_left_as_it_was(tmp_path: Path) -> None:
    measured = measure_disk(tmp_path / "runs" / "demonstrations", mebibytes=2)
    assert (measured.folder, measured.problem) == (str(tmp_path), "")
    assert measured.speed > 0
    assert list(tmp_path.iterdir()) == []


def test_measurements_survive_their_way_through_json() -> None:
    measured = measure_realtime()
    assert type(measured).model_validate(json.loads(measured.model_dump_json())) == measured
