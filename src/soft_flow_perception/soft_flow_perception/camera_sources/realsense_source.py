"""The colour stream of an Intel RealSense camera, by librealsense's own Python package."""

import importlib
import time
from collections.abc import Callable
from typing import Any

import numpy as np

from soft_flow_contract.robot_cell import CameraConfiguration
from soft_flow_perception.camera_sources.camera_source import CameraError, Frame
from soft_flow_perception.camera_sources.capture_clock import DeviceClock, plausible

READ_TIMEOUT_MS = 1000  # wait for a frame no longer than this


def load_library() -> Any:
    """pyrealsense2, which set-up does not install.

    Raises:
        CameraError: it is missing; says how to install it.
    """
    try:
        return importlib.import_module("pyrealsense2")
    except ImportError as error:
        raise CameraError(
            f"a camera with driver 'realsense' needs pyrealsense2 ({error}); install it with: "
            ".venv/bin/python -m pip install -r requirements/cameras.txt"
        ) from error


class RealsenseSource:
    """Implements `CameraSource`; `source` is a serial number, or empty for the only camera."""

    def __init__(
        self,
        camera: CameraConfiguration,
        library: Callable[[], Any] = load_library,
        steady_ns: Callable[[], int] = time.monotonic_ns,
        wall_ns: Callable[[], int] = time.time_ns,
    ) -> None:
        """Read `camera`; `library` gives the module, the clocks are this machine's."""
        self._camera, self._library = camera, library
        self._steady_ns, self._wall_ns = steady_ns, wall_ns
        self._rs: Any = None
        self._pipeline: Any = None
        self._device_clock = DeviceClock()

    def open(self) -> None:
        """Start the colour stream at the camera's size and rate."""
        self.close()
        self._rs = rs = self._library()
        wanted = rs.config()
        if self._camera.source:
            wanted.enable_device(self._camera.source)
        size = (self._camera.width, self._camera.height)
        wanted.enable_stream(rs.stream.color, *size, rs.format.rgb8, round(self._camera.fps))
        pipeline = rs.pipeline()
        try:
            pipeline.start(wanted)
        except RuntimeError as error:
            raise CameraError(self._why_not_opened(error)) from error
        self._pipeline, self._device_clock = pipeline, DeviceClock()

    def _why_not_opened(self, error: RuntimeError) -> str:
        devices = self._rs.context().query_devices()
        serials = [device.get_info(self._rs.camera_info.serial_number) for device in devices]
        camera = self._camera
        return (
            f"camera '{camera.name}': RealSense {camera.source or '(any)'} cannot stream colour at "
            f"{camera.width}x{camera.height}, {camera.fps:g} Hz: {error}; "
            f"connected: {', '.join(serials) or 'none'}"
        )

    def read(self) -> Frame:
        """The newest colour frame."""
        if self._pipeline is None:
            raise CameraError(f"camera '{self._camera.name}': is not open")
        try:
            color = self._pipeline.wait_for_frames(READ_TIMEOUT_MS).get_color_frame()
        except RuntimeError as error:
            raise CameraError(f"camera '{self._camera.name}': {error}; unplugged?") from error
        arrival_ns = self._steady_ns()
        if not color:
            raise CameraError(f"camera '{self._camera.name}': frames came without colour")
        image = np.array(color.get_data(), dtype=np.uint8)  # a copy: the library reuses its buffers
        return Frame(image, self._capture_ns(color, arrival_ns))

    def _capture_ns(self, frame: Any, arrival_ns: int) -> int:
        """The capture time on the steady clock; the stamp (ms) is of the device's clock or the system's."""
        stamp_ns = round(frame.get_timestamp() * 1e6)
        if frame.get_frame_timestamp_domain() == self._rs.timestamp_domain.hardware_clock:
            capture_ns = self._device_clock.to_steady(stamp_ns, arrival_ns)
        else:
            capture_ns = stamp_ns - self._wall_ns() + self._steady_ns()
        return capture_ns if plausible(capture_ns, arrival_ns) else arrival_ns

    def close(self) -> None:
        """Stop the stream."""
        if self._pipeline is not None:
            pipeline, self._pipeline = self._pipeline, None
            pipeline.stop()
