"""Doctor's judgements, from measurements to what to do."""

from __future__ import annotations

import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest
from judgement_check import require_judged

from soft_flow_bringup import doctor_judgements as judge
from soft_flow_bringup import doctor_measurements as measure
from soft_flow_bringup.doctor_judgements import GIB, ProbeResult
from soft_flow_bringup.doctor_verb import checks, exit_status
from soft_flow_bringup.finding import Finding, Verdict, fault, good, note
from soft_flow_bringup.workspace import find_workspace

FINE = ProbeResult(0, "rmw_fastrtps_cpp\n")
ABSENT = ProbeResult(1, "ModuleNotFoundError: No module named 'mujoco'")
BROKEN = ProbeResult(1, "Traceback\nImportError: no librcl.so\n")


@pytest.mark.parametrize(
    ("finding", "verdict", "mentions"),
    [
        (judge.judge_python((3, 12), "python"), Verdict.GOOD, "3.12"),
        (judge.judge_python((3, 9), "python"), Verdict.FAULT, "SOFT_FLOW_PYTHON"),
        (judge.judge_python((3, 14), "python"), Verdict.FAULT, "3.10 to 3.13"),
        (judge.judge_ros(None, FINE), Verdict.GOOD, "wheels, rmw_fastrtps_cpp"),
        (judge.judge_ros(Path("/opt/ros/jazzy"), FINE), Verdict.GOOD, "native, /opt/ros/jazzy"),
        (judge.judge_ros(None, BROKEN), Verdict.FAULT, "ImportError: no librcl.so"),
        (judge.judge_workspace([], FINE), Verdict.GOOD, "current"),
        (judge.judge_workspace(["build"], FINE), Verdict.FAULT, "./soft-flow setup"),
        (judge.judge_workspace([], BROKEN), Verdict.FAULT, "--rebuild"),
        (judge.judge_rendering({"egl": BROKEN, "osmesa": FINE}), Verdict.GOOD, "osmesa"),
        (judge.judge_rendering({"egl": BROKEN, "osmesa": BROKEN}), Verdict.FAULT, "libegl1"),
        (judge.judge_rendering({"egl": ABSENT, "osmesa": ABSENT}), Verdict.FAULT, "./soft-flow setup"),
        (judge.judge_discovery(ABSENT), Verdict.FAULT, "./soft-flow setup"),
        (judge.judge_cores(2), Verdict.GOOD, "2"),
        (judge.judge_cores(1), Verdict.NOTE, "real time"),
        (judge.judge_memory(8 * GIB), Verdict.GOOD, "8.0 GiB"),
        (judge.judge_memory(3 * GIB), Verdict.NOTE, "close other programs"),
        (judge.judge_memory(GIB), Verdict.FAULT, "at least 2 GiB"),
        (judge.judge_disk(50 * GIB), Verdict.GOOD, "50.0 GiB"),
        (judge.judge_disk(2 * GIB), Verdict.NOTE, "runs/"),
        (judge.judge_disk(0), Verdict.FAULT, "at least 1 GiB"),
        (judge.judge_shared_memory(2**30), Verdict.GOOD, "1024 MiB"),
        (judge.judge_shared_memory(2**20), Verdict.NOTE, "--shm-size"),
        (judge.judge_shared_memory(None), Verdict.NOTE, "tmpfs"),
        (judge.judge_discovery(FINE), Verdict.GOOD, ""),
        (judge.judge_discovery(ProbeResult(1, "no message within 15 s")), Verdict.FAULT, "multicast"),
        (judge.judge_devices("Serial", {}, "dialout"), Verdict.GOOD, "none connected"),
        (judge.judge_devices("Serial", {"/dev/ttyUSB0": True}, "dialout"), Verdict.GOOD, "/dev/ttyUSB0"),
        (
            judge.judge_devices("Serial", {"a": True, "b": False}, "dialout"),
            Verdict.NOTE,
            "usermod -aG dialout",
        ),
    ],
)
def test_a_measurement_is_judged_and_a_bad_one_says_what_to_do(
    finding: Finding, verdict: Verdict, mentions: str
) -> None:
    require_judged(finding, verdict, mentions)


def test_only_a_fault_fails_the_doctor() -> None:
    assert exit_status([good("a", ""), note("b", "", "do")]) == 0
    assert exit_status([good("a", ""), fault("b", "", "do")]) == 1


def test_a_message_really_travels_between_two_processes() -> None:
    result = measure.probe_discovery()
    assert result.status == 0, result.output
    assert "a message between two processes" in result.last_line


def test_a_frame_is_really_rendered() -> None:
    results = measure.probe_rendering()
    assert any(result.status == 0 for result in results.values()), results


def test_a_probe_that_crashes_is_a_result_and_not_an_error() -> None:
    result = measure.probe(["-c", "import sys; print('why'); sys.exit(5)"])
    assert (result.status, result.last_line) == (5, "why")


def test_before_set_up_the_doctor_says_what_to_do_and_fails(
    bare_doctor: Callable[..., subprocess.CompletedProcess[str]],
) -> None:
    result = bare_doctor()
    assert result.returncode == 1, result.stderr
    assert "run ./soft-flow setup" in result.stdout
    assert "Cameras" in result.stdout


def test_every_check_of_the_table_is_there() -> None:
    subjects = [subject for subject, _ in checks(find_workspace())]
    expected = "Python,ROS 2,workspace,rendering,cores,memory,disk,shared memory,DDS,serial ports,cameras"
    assert subjects == expected.split(",")
