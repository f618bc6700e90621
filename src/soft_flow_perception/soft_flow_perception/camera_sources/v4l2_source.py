"""A camera of the kernel's video interface (USB and others), by OpenCV."""

import os
import time
from collections.abc import Callable
from pathlib import Path

import cv2

from soft_flow_contract.robot_cell import CameraConfiguration
from soft_flow_perception.camera_sources.camera_source import CameraError, Frame
from soft_flow_perception.camera_sources.capture_clock import plausible


def device_path(source: str, device_folder: Path = Path("/dev")) -> Path:
    """The device of a camera's source: an index, or a path."""
    return device_folder / f"video{source}" if source.isdigit() else Path(source).expanduser()


def why_not_opened(device: Path, device_folder: Path = Path("/dev")) -> str:
    """Why a device cannot be opened as a camera, and what there is instead."""
    found = [*sorted(device_folder.glob("video*")), *sorted(device_folder.glob("v4l/by-id/*"))]
    there = ", ".join(map(str, found)) or f"no video device at all ({device_folder}/video*)"
    if not device.exists():
        return f"{device} does not exist; there is: {there}. Is the camera plugged in?"
    if not os.access(device, os.R_OK | os.W_OK):
        return f"{device} may not be opened by this user: sudo usermod -aG video $USER, then log in again"
    return (
        f"{device} exists, but gives no pictures: in use by another program (fuser -v {device}), or a "
        f"camera's second device, which has none; there is: {there}"
    )


class V4l2Source:
    """Implements `CameraSource`."""

    def __init__(
        self,
        camera: CameraConfiguration,
        buffers: int = 1,
        device_folder: Path = Path("/dev"),
        clock: Callable[[], int] = time.monotonic_ns,
    ) -> None:
        """Read `camera` through that many kernel buffers; `clock` is the steady one (ns)."""
        self._camera, self._buffers, self._clock = camera, buffers, clock
        self._device_folder = device_folder
        self._device = device_path(camera.source, device_folder)
        self._capture: cv2.VideoCapture | None = None

    def open(self) -> None:
        """Ask for motion JPEG at the camera's size and rate."""
        self.close()
        capture = None
        if self._device.exists():  # OpenCV would print a warning at every attempt
            capture = cv2.VideoCapture(os.path.realpath(self._device), cv2.CAP_V4L2)
        if capture is None or not capture.isOpened():
            raise CameraError(
                f"camera '{self._camera.name}': {why_not_opened(self._device, self._device_folder)}"
            )
        # Uncompressed pictures of several cameras do not fit through one USB controller.
        capture.set(cv2.CAP_PROP_FOURCC, cv2.VideoWriter.fourcc(*"MJPG"))
        capture.set(cv2.CAP_PROP_FRAME_WIDTH, self._camera.width)
        capture.set(cv2.CAP_PROP_FRAME_HEIGHT, self._camera.height)
        capture.set(cv2.CAP_PROP_FPS, self._camera.fps)
        capture.set(cv2.CAP_PROP_BUFFERSIZE, self._buffers)
        capture.set(cv2.CAP_PROP_AUTOFOCUS, 0)  # a calibration holds for one focus; no effect without a motor
        self._capture = capture

    def read(self) -> Frame:
        """The next frame, with the driver's own stamp where that is on the steady clock."""
        if self._capture is None:
            raise CameraError(f"camera '{self._camera.name}': is not open")
        if not self._capture.grab():
            raise CameraError(
                f"camera '{self._camera.name}': {self._device} gives no more frames; unplugged?"
            )
        arrival_ns = self._clock()
        # Of the buffer just taken: CLOCK_MONOTONIC of its first byte, where the driver says so.
        stamp_ns = round(self._capture.get(cv2.CAP_PROP_POS_MSEC) * 1e6)
        ok, image = self._capture.retrieve()
        if not ok:
            raise CameraError(f"camera '{self._camera.name}': a frame of {self._device} cannot be decoded")
        capture_ns = stamp_ns if plausible(stamp_ns, arrival_ns) else arrival_ns
        return Frame(cv2.cvtColor(image, cv2.COLOR_BGR2RGB), capture_ns)

    def close(self) -> None:
        """Release the device."""
        if self._capture is not None:
            self._capture.release()
            self._capture = None
