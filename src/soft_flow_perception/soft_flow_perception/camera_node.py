"""camera_node: pictures of one camera of the cell, from a device or a recording."""

import array
import os
import time
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np
from diagnostic_msgs.msg import DiagnosticStatus
from rclpy.context import Context
from rclpy.node import Node
from rclpy.parameter import Parameter
from sensor_msgs.msg import CameraInfo as CameraInfoMessage
from sensor_msgs.msg import CompressedImage, Image
from std_msgs.msg import Header

from soft_flow_contract import message_conversion as convert
from soft_flow_contract import topics
from soft_flow_contract.errors import ContractError
from soft_flow_contract.graph_node import (
    Diagnostics,
    Readiness,
    declare_parameters,
    diagnostic_status,
    parameter,
    run_node,
)
from soft_flow_contract.robot_cell import RobotCell
from soft_flow_perception.camera_info_file import CameraInfo, calibration_of_camera
from soft_flow_perception.camera_sources.camera_source import CameraSource
from soft_flow_perception.camera_sources.frame_reader import (
    FrameReader,
    ReaderLimits,
    ReaderReport,
    ReaderState,
)
from soft_flow_perception.camera_sources.source_of_camera import source_of_camera

COMPRESSED_FORMAT = "rgb8; jpeg compressed bgr8"  # as image_transport writes it
LOW_RATE = 0.8  # of the cell's fps; below it there is a warning
CLOCK_JUMP_NS = convert.NANOSECONDS  # back by more than this: the clock was set, and its new time counts


@dataclass(frozen=True)
class Parameters:
    """Parameters of camera_node."""

    robot_file: str = parameter("config/robots/fr3_orca_right.yaml", "the cell (YAML)")
    camera: str = parameter("", "name of the camera in the cell")
    publish_raw: bool = parameter(True, "publish image_raw")
    publish_compressed: bool = parameter(True, "publish image_raw/compressed while somebody listens")
    jpeg_quality: int = parameter(90, "of compressed images", 1, 100)
    frame_timeout: float = parameter(0.5, "s without a frame after which the camera is lost", 0.05, 60.0)
    frozen_limit: float = parameter(
        0.2, "s of the same picture after which the camera is lost; 0: repeats are published", 0.0, 60.0
    )
    first_pause: float = parameter(0.2, "s before a lost camera is opened again, then doubled", 0.01, 60.0)
    longest_pause: float = parameter(5.0, "s, the longest of these pauses", 0.01, 600.0)
    loop: bool = parameter(True, "play a recording again and again")
    v4l2_buffers: int = parameter(
        1, "kernel buffers; 2 where a camera gives half its rate with the freshest frame", 1, 4
    )


class CameraNode(Node):
    """Publishes image_raw, compressed images and camera_info, all of a frame with its capture time."""

    def __init__(
        self,
        context: Context | None = None,
        overrides: list[Parameter] | None = None,
        source: CameraSource | None = None,
    ) -> None:
        """Start to read; `source` takes the place of the one that the cell names."""
        super().__init__("camera_node", context=context, parameter_overrides=overrides or [])
        cv2.setNumThreads(1)
        self.parameters = settings = declare_parameters(self, Parameters)
        if not (settings.publish_raw or settings.publish_compressed):
            raise ContractError(
                "publish_raw and publish_compressed are both false; nothing would be published"
            )
        self.camera = RobotCell.load(settings.robot_file).camera(settings.camera)
        self._calibration = calibration_of_camera(self.camera, settings.robot_file)
        self._info = to_camera_info(self._calibration, self.camera.width, self.camera.height)
        self._last_stamp, self._age_ms, self._published, self._not_newer = 0, 0.0, 0, 0
        self._was = ReaderState.OPENING
        self._simulated = bool(self.get_parameter("use_sim_time").value)
        self._make_publishers()
        self._diagnostics = Diagnostics(self, self.status)
        self._news = self.create_guard_condition(self._on_news)
        limits = ReaderLimits(
            settings.frame_timeout, settings.frozen_limit, settings.first_pause, settings.longest_pause
        )
        source = source or source_of_camera(
            self.camera, settings.robot_file, settings.loop, settings.v4l2_buffers
        )
        self._reader = FrameReader(self.camera, source, limits, self._news.trigger, self._stamp)
        self._reader.start()

    def destroy_node(self) -> None:
        """Stop reading first: the reader's thread wakes the node."""
        if hasattr(self, "_reader"):
            self._reader.stop()
        super().destroy_node()

    def _make_publishers(self) -> None:
        name, quality, settings = self.camera.name, topics.sensor(False), self.parameters
        self._raw = (
            self.create_publisher(Image, topics.camera_image(name), quality) if settings.publish_raw else None
        )
        self._compressed = (
            self.create_publisher(CompressedImage, topics.camera_compressed(name), quality)
            if settings.publish_compressed
            else None
        )
        self._info_publisher = self.create_publisher(CameraInfoMessage, topics.camera_info(name), quality)
        self._readiness = Readiness(self, [self._raw or self._compressed], [])

    def _stamp(self, capture_ns: int) -> int:
        """The node's time at a capture time; in the reader's thread, right after the frame was read."""
        now = self.get_clock().now().nanoseconds
        if self._simulated:
            return now
        return now - (time.monotonic_ns() - capture_ns)

    # Frames

    def _on_news(self) -> None:
        taken = self._reader.take()
        if taken is not None and self._is_newer(taken[1]):
            frame, stamp = taken
            self._publish(frame.image, convert.header(stamp, f"{self.camera.name}_optical"))
            self._age_ms = (time.monotonic_ns() - frame.capture_ns) * 1e-6
        report = self._reader.report()
        if report.state is not self._was:
            self._was = report.state
            self._tell(report)

    def _is_newer(self, stamp: int) -> bool:
        """Stamps rise strictly, unless the clock was set back."""
        if self._last_stamp - CLOCK_JUMP_NS < stamp <= self._last_stamp:
            self._not_newer += 1
            return False
        if stamp < self._last_stamp:
            self.get_logger().warning(f"the clock went back by {(self._last_stamp - stamp) * 1e-9:.1f} s")
        self._last_stamp = stamp
        return True

    def _publish(self, image: np.ndarray, header: Header) -> None:
        self._info.header = header
        self._info_publisher.publish(self._info)
        if self._raw is not None:
            message = convert.to_image_message(image, 0, "")
            message.header = header
            self._raw.publish(message)
        if self._compressed is not None and self._compressed.get_subscription_count():
            self._compressed.publish(to_compressed(image, header, self.parameters.jpeg_quality))
        self._published += 1

    # Diagnostics

    def _tell(self, report: ReaderReport) -> None:
        name, logger = self.camera.name, self.get_logger()
        if report.state is ReaderState.STREAMING:
            logger.info(f"camera '{name}' streams at {self.camera.width}x{self.camera.height}")
        elif report.state is ReaderState.LOST:
            logger.error(f"no pictures: {report.reason}")
        elif report.state is ReaderState.ENDED:
            logger.info(report.reason)
        self._diagnostics.publish()

    def status(self) -> DiagnosticStatus:
        """Error while there are no pictures, with the reason; a warning for what is not as it should be."""
        report = self._reader.report()
        values = {
            "state": report.state.value,
            "published": self._published,
            "rate_hz": f"{report.rate:.1f}",
            "jitter_ms": f"{report.jitter * 1e3:.1f}",
            "age_ms": f"{self._age_ms:.1f}",
            "dropped": report.dropped + self._not_newer,
            "repeats": report.repeats,
            "reconnects": report.reconnects,
        }
        if report.state is ReaderState.LOST:
            return diagnostic_status(self, DiagnosticStatus.ERROR, f"no pictures: {report.reason}", values)
        warnings = list(self._warnings(report))
        level = DiagnosticStatus.WARN if warnings else DiagnosticStatus.OK
        return diagnostic_status(self, level, "; ".join(warnings) or "streaming", values)

    def _warnings(self, report: ReaderReport) -> list[str]:
        found = []
        if report.state is not ReaderState.STREAMING:
            found.append(report.reason)
        elif report.rate_known and report.rate < LOW_RATE * self.camera.fps:
            found.append(f"{report.rate:.1f} frames a second, its cell says {self.camera.fps:g}")
        if self._calibration is None:
            found.append(
                "uncalibrated, camera_info is empty: "
                f"./soft-flow calibrate intrinsics --camera {self.camera.name}"
            )
        return found


def to_camera_info(calibration: CameraInfo | None, width: int, height: int) -> CameraInfoMessage:
    """Calibration to message; without one K is zero, which is ROS's sign for an uncalibrated camera."""
    message = CameraInfoMessage(width=width, height=height)
    if calibration is not None:
        message.distortion_model = calibration.distortion_model
        message.d = list(calibration.distortion_coefficients.data)
        message.k = list(calibration.camera_matrix.data)
        message.r = list(calibration.rectification_matrix.data)
        message.p = list(calibration.projection_matrix.data)
    return message


def to_compressed(image: np.ndarray, header: Header, quality: int) -> CompressedImage:
    """RGB image (H, W, 3) uint8 to a JPEG message."""
    ok, data = cv2.imencode(".jpg", image[:, :, ::-1], [cv2.IMWRITE_JPEG_QUALITY, quality])
    if not ok:
        raise ContractError(f"image of shape {image.shape} cannot be encoded as JPEG")
    message = CompressedImage(header=header, format=COMPRESSED_FORMAT)
    message.data = array.array("B", data.tobytes())
    return message


def make_room_for_pictures() -> None:
    """Have Fast DDS read camera_transport.xml, unless a profile of the user's is set; before rclpy starts."""
    if not os.environ.keys() & {"FASTRTPS_DEFAULT_PROFILES_FILE", "FASTDDS_DEFAULT_PROFILES_FILE"}:
        os.environ["FASTRTPS_DEFAULT_PROFILES_FILE"] = str(Path(__file__).with_name("camera_transport.xml"))


def main() -> None:
    """Run the node."""
    make_room_for_pictures()
    run_node(CameraNode)


if __name__ == "__main__":
    main()
