"""Judge what was measured of cameras: pure functions from a measurement to findings."""

from soft_flow_bringup.finding import Finding, fault, good, note
from soft_flow_bringup.robot_doctor.camera_measurements import CalibrationFile, CameraMeasured, CameraReading
from soft_flow_contract.robot_cell import CameraConfiguration

MAX_AGE = 100.0  # ms; robot.launch.xml's camera_max_age, beside drivers
_LOW_RATE = 0.8  # of the cell's fps
_BLACK, _FLAT = 6.0, 3.0  # mean and standard deviation of pixels below which a picture shows nothing
_REPEATED = 0.05  # share of pictures
_CALIBRATE = "./soft-flow calibrate intrinsics --camera {name} --robot CELL"


def judge_camera(measured: CameraMeasured, camera: CameraConfiguration) -> Finding:
    """Judge one camera."""
    subject = f"Camera {measured.name}"
    if measured.outcome == "running":
        return note(
            subject,
            "a node of this graph has it; see its topic",
            "end the graph to have the camera itself read",
        )
    if measured.reading is None:
        return fault(
            subject,
            measured.problem,
            f"then put it right in the cell's file, or at the camera ({measured.source})",
        )
    reading = measured.reading
    detail = _describe(reading)
    if problem := _stops(reading, camera):
        return fault(subject, f"{problem[0]}; {detail}", problem[1])
    if problem := _disturbs(reading, camera):
        return note(subject, f"{problem[0]}; {detail}", problem[1])
    return good(subject, detail)


def _describe(reading: CameraReading) -> str:
    parts = [f"{reading.width}x{reading.height} at {reading.rate:.1f} Hz"]
    if reading.intervals is not None:
        parts.append(f"intervals {reading.intervals}")
    if reading.ages is not None:
        parts.append(f"{reading.ages.p50:.1f} ms old (longest {reading.ages.longest:.1f})")
    return ", ".join(parts)


def oldest(reading: CameraReading) -> float:
    """How old the newest picture may be when it is asked for, ms: just before the next one comes."""
    if reading.ages is None or reading.intervals is None:
        return 0.0
    return reading.ages.p50 + reading.intervals.p99


def _stops(reading: CameraReading, camera: CameraConfiguration) -> tuple[str, str] | None:
    """What keeps the camera from being used, and what to do."""
    if (reading.width, reading.height) != (camera.width, camera.height):
        return (
            f"the cell says {camera.width}x{camera.height}",
            "correct width and height in the cell, or choose a mode that the camera has "
            "(v4l2-ctl --list-formats-ext)",
        )
    if not reading.frames:
        return "one frame, and then no more", "unplug the camera and plug it in again"
    if reading.repeats == reading.frames:
        return (
            "always the same picture",
            "it is frozen: unplug it and plug it in again; a lens cap looks the same",
        )
    if oldest(reading) > MAX_AGE:
        return (
            f"the newest picture may be {oldest(reading):.0f} ms old; an observation allows {MAX_AGE:.0f}",
            "a higher fps in the cell, less exposure time, a USB controller of its own for each camera",
        )
    return None


def _disturbs(reading: CameraReading, camera: CameraConfiguration) -> tuple[str, str] | None:
    """What is not as it should be, and what to do."""
    if reading.brightness < _BLACK and reading.contrast < _FLAT:
        return f"the picture is black (mean {reading.brightness:.0f} of 255)", "lens cap off, light on"
    if reading.contrast < _FLAT:
        return (
            f"the picture is of one colour (deviation {reading.contrast:.1f})",
            "does the camera look at something? Is its exposure right?",
        )
    if reading.rate < _LOW_RATE * camera.fps:
        return (
            f"the cell says {camera.fps:g} Hz",
            "less exposure time (v4l2-ctl -c exposure_dynamic_framerate=0), another USB port, or "
            "v4l2_buffers: 2 in config/camera_node.yaml",
        )
    if reading.repeats > _REPEATED * reading.frames:
        return (
            f"{reading.repeats} of {reading.frames} pictures repeat the one before",
            "the camera is slower than it says: lower fps in the cell",
        )
    return None


def judge_camera_calibration(calibration: CalibrationFile) -> Finding:
    """Judge whether a camera's intrinsics and placement are known."""
    subject, calibrate = f"{calibration.name} calibration", _CALIBRATE.format(name=calibration.name)
    if calibration.problem:
        return fault(subject, calibration.problem, calibrate)
    if not calibration.path:
        return note(subject, "the cell names no file", f"name one ('calibration:'), then {calibrate}")
    if not calibration.exists:
        return note(subject, f"{calibration.path} does not exist", calibrate)
    if not calibration.placed:
        return note(
            subject,
            f"{calibration.path}; where it is mounted is not known",
            f"./soft-flow calibrate hand-eye --camera {calibration.name} --robot CELL --samples DIR --write",
        )
    return good(subject, f"{calibration.path}, and its placement")
