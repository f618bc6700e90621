"""Reads a camera (a program of `doctor`): `camera_probe CAMERA ROBOT_FILE SECONDS`, CAMERA as JSON."""

import sys
import time
from pathlib import Path
from typing import Any

import numpy as np

from soft_flow_bringup.robot_doctor.probe_report import doing, tell
from soft_flow_bringup.robot_doctor.spread import Spread
from soft_flow_contract.robot_cell import CameraConfiguration
from soft_flow_perception.camera_sources.camera_source import CameraError, CameraSource
from soft_flow_perception.camera_sources.source_of_camera import source_of_camera

_EVERY = 4  # pixels between those that brightness is taken from


def read(source: CameraSource, seconds: float) -> dict[str, Any]:
    """The fields of CameraReading.

    Raises:
        CameraError: it cannot be opened, or was lost.
    """
    began = time.monotonic()
    doing("opening it")
    source.open()
    doing("waiting for frames")
    first = source.read()
    opened = time.monotonic() - began
    last, captures, ages, repeats, looks = first.image, [first.capture_ns], [], 0, []
    until = time.monotonic() + seconds
    while time.monotonic() < until:
        frame = source.read()
        ages.append((time.monotonic_ns() - frame.capture_ns) * 1e-6)
        captures.append(frame.capture_ns)
        repeats += bool(np.array_equal(frame.image, last))
        last = frame.image
        pixels = frame.image[::_EVERY, ::_EVERY]
        looks.append((float(pixels.mean()), float(pixels.std())))
    intervals = np.diff(np.array(captures, np.int64)) * 1e-6
    spread, age = Spread.of(intervals.tolist()), Spread.of(ages)
    mean = float(intervals.mean()) if len(intervals) else 0.0
    height, width = first.image.shape[:2]
    return {
        "opened": round(opened, 3),
        "width": width,
        "height": height,
        "frames": len(ages),
        "repeats": repeats,
        "rate": round(1e3 / mean, 2) if mean > 0 else 0.0,
        "intervals": spread.model_dump() if spread else None,
        "ages": age.model_dump() if age else None,
        "brightness": round(max((look[0] for look in looks), default=0.0), 1),
        "contrast": round(max((look[1] for look in looks), default=0.0), 1),
    }


def main() -> None:
    """Open the camera, read it, tell."""
    camera = CameraConfiguration.model_validate_json(sys.argv[1])
    source = source_of_camera(camera, Path(sys.argv[2]))
    try:
        tell({"outcome": "measured", "reading": read(source, float(sys.argv[3]))})
    except CameraError as error:
        tell({"outcome": "failed", "problem": str(error)})
    finally:
        source.close()


if __name__ == "__main__":
    main()
