"""What is measured of the cameras of a cell: every one in a process of its own, all at the same time."""

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Literal

from soft_flow_bringup.robot_doctor.probe_process import Probe
from soft_flow_bringup.robot_doctor.spread import Spread
from soft_flow_contract.errors import SpecificationError
from soft_flow_contract.robot_cell import CameraConfiguration, resolve
from soft_flow_contract.strict_model import StrictModel
from soft_flow_perception.camera_info_file import calibration_of_camera

_PROBE_LIMIT = 25.0  # s


class CameraReading(StrictModel):
    """Frames over about two seconds.

    Attributes:
        opened: s until the first frame.
        width: of the frames, pixels; with height.
        height: see width.
        frames: how many came after the first.
        repeats: how many were the same as the one before.
        rate: frames a second.
        intervals: between captures.
        ages: from capture to arrival.
        brightness: mean of all pixels of a frame, 0 to 255; of the brightest frame.
        contrast: standard deviation of the pixels of a frame; largest.
    """

    opened: float
    width: int
    height: int
    frames: int
    repeats: int
    rate: float
    intervals: Spread | None
    ages: Spread | None
    brightness: float
    contrast: float


class CameraMeasured(StrictModel):
    """What came of asking a camera.

    Attributes:
        name: in cell and task.
        source: driver and source, as the cell says.
        outcome: whether it was measured, and else why not: "running" is a camera_node that has it.
        problem: in words; empty when it was measured.
        reading: when it was measured.
    """

    name: str
    source: str
    outcome: Literal["measured", "running", "failed"]
    problem: str = ""
    reading: CameraReading | None = None


class CalibrationFile(StrictModel):
    """The calibration of a camera: path (empty if the cell names none), and what is wrong with it."""

    name: str
    path: str
    exists: bool
    problem: str
    placed: bool  # the cell says where the camera is mounted


def read_camera_calibration(camera: CameraConfiguration, robot_file: Path) -> CalibrationFile:
    """Look at a camera's calibration."""
    path, exists, problem = "", False, ""
    if camera.calibration:
        path = str(resolve(camera.calibration, robot_file))
        try:
            exists = calibration_of_camera(camera, robot_file) is not None
        except SpecificationError as error:
            exists, problem = True, str(error)
    return CalibrationFile(
        name=camera.name, path=path, exists=exists, problem=problem, placed=camera.placement is not None
    )


def measure_cameras(
    cameras: Sequence[CameraConfiguration],
    robot_file: Path,
    running: Sequence[str] = (),
    seconds: float = 2.0,
) -> list[CameraMeasured]:
    """Read all cameras at once, as the graph will: they may share a USB controller.

    Args:
        cameras: of the cell.
        robot_file: its file; paths of recordings are relative to it.
        running: names of those that a node has: they are left alone.
        seconds: for which frames are read.
    """
    module = "soft_flow_bringup.robot_doctor.camera_probe"
    probes = {
        camera.name: Probe(
            module, [json.dumps(camera.model_dump()), str(robot_file), str(seconds)], _PROBE_LIMIT
        )
        for camera in cameras
        if camera.name not in running
    }
    measured = []
    for camera in cameras:
        told: dict[str, object] = {"outcome": "running"}
        if camera.name in probes:
            answer = probes[camera.name].answer()
            told = answer.measured or {"outcome": "failed", "problem": answer.problem}
        source = f"{camera.driver} {camera.source}".strip()
        measured.append(CameraMeasured.model_validate({"name": camera.name, "source": source, **told}))
    return measured
