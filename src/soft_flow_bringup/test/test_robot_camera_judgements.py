"""What is said of cameras: pure judgements."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from judgement_check import require_judged
from robot_measurements_maker import CELL, camera_reading, spread

from soft_flow_bringup.finding import Finding, Verdict
from soft_flow_bringup.robot_doctor import camera_judgements as judge
from soft_flow_bringup.robot_doctor.camera_measurements import CalibrationFile, CameraMeasured

GOOD, NOTE, FAULT = Verdict.GOOD, Verdict.NOTE, Verdict.FAULT
CAMERA = CELL.cameras[0]


def camera(outcome: str = "measured", problem: str = "", **changes: Any) -> Finding:
    reading = camera_reading(**changes) if outcome == "measured" else None
    measured = CameraMeasured.model_validate(
        {"name": "wrist_palm", "source": "v4l2 0", "outcome": outcome, "problem": problem, "reading": reading}
    )
    return judge.judge_camera(measured, CAMERA)


def calibration(**changes: Any) -> Finding:
    values = {"name": "wrist_palm", "path": "palm.yaml", "exists": True, "problem": "", "placed": True}
    return judge.judge_camera_calibration(CalibrationFile.model_validate({**values, **changes}))


@pytest.mark.parametrize(
    ("finding", "verdict", "mentions"),
    [
        (camera(), GOOD, "640x480 at 30.0 Hz"),
        (camera("running"), NOTE, "end the graph"),
        (camera("failed", "sudo usermod -aG video $USER"), FAULT, "usermod -aG video"),
        (camera("failed", "needs pyrealsense2; install it with: pip ..."), FAULT, "pyrealsense2"),
        (camera(width=320, height=240), FAULT, "the cell says 640x480"),
        (camera(frames=0, intervals=None, ages=None), FAULT, "no more"),
        (camera(repeats=60), FAULT, "always the same picture"),
        (camera(ages=spread(90.0)), FAULT, "124 ms old"),
        (camera(rate=10.0, intervals=spread(100.0)), FAULT, "122 ms old"),
        (camera(brightness=0.5, contrast=0.4), NOTE, "lens cap"),
        (camera(brightness=200.0, contrast=1.0), NOTE, "one colour"),
        (camera(rate=20.0, intervals=spread(50.0)), NOTE, "the cell says 30 Hz"),
        (camera(repeats=20), NOTE, "20 of 60"),
        (calibration(), GOOD, "palm.yaml"),
        (calibration(path="", exists=False), NOTE, "names no file"),
        (calibration(exists=False), NOTE, "./soft-flow calibrate intrinsics --camera wrist_palm"),
        (calibration(placed=False), NOTE, "./soft-flow calibrate hand-eye --camera wrist_palm"),
        (calibration(problem="is a calibration of 320x240 pixels"), FAULT, "320x240"),
    ],
)
def test_a_measurement_of_a_camera_is_judged_and_a_bad_one_says_what_to_do(
    finding: Finding, verdict: Verdict, mentions: str
) -> None:
    require_judged(finding, verdict, mentions)


times = st.one_of(st.none(), st.builds(spread, st.floats(0, 500)))


@given(
    frames=st.integers(0, 100),
    repeats=st.integers(0, 100),
    rate=st.floats(0, 100),
    intervals=times,
    ages=times,
    brightness=st.floats(0, 255),
    contrast=st.floats(0, 128),
)
def test_whatever_was_read_has_a_verdict_and_all_but_good_ones_a_remedy(**reading: Any) -> None:
    finding = camera(**reading)
    assert bool(finding.remedy) == (finding.verdict is not GOOD)


@given(age=st.floats(0, 300), interval=st.floats(0, 300))
def test_a_picture_that_may_be_older_than_an_observation_allows_is_a_fault(
    age: float, interval: float
) -> None:
    finding = camera(ages=spread(age), intervals=spread(interval))
    assert (finding.verdict is FAULT) == (age + interval > judge.MAX_AGE)
