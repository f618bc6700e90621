"""hand_eye_sampler_node: stores pictures of the board with the flange's pose, for `soft-flow calibrate`."""

import sys
import threading
from dataclasses import dataclass
from pathlib import Path

import cv2
from diagnostic_msgs.msg import DiagnosticStatus
from geometry_msgs.msg import PoseStamped
from rclpy.context import Context
from rclpy.node import Node
from rclpy.parameter import Parameter
from sensor_msgs.msg import Image
from std_srvs.srv import Trigger

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
from soft_flow_perception.calibration.board_view import BoardDetector
from soft_flow_perception.calibration.charuco_board import load_board
from soft_flow_perception.calibration.hand_eye_samples import store_sample
from soft_flow_perception.calibration.sample_pairing import PairingLimits, SamplePairing, SampleRefusedError


@dataclass(frozen=True)
class Parameters:
    """Parameters of hand_eye_sampler_node."""

    camera: str = parameter("", "name of the camera")
    folder: str = parameter("", "where samples go; added to those that are there")
    board: str = parameter("", "board file that `soft-flow calibrate board` wrote; empty: the usual board")
    picture_age: float = parameter(0.5, "s, of the newest picture", 0.01, 10.0)
    apart: float = parameter(0.05, "s between the stamps of picture and pose", 0.001, 1.0)
    rest_time: float = parameter(0.5, "s before the picture in which the arm did not move", 0.0, 10.0)
    keyboard: bool = parameter(True, "Enter takes a sample, where there is a terminal")


class HandEyeSamplerNode(Node):
    """Stores a sample when it is asked to, by `~/sample` or by Enter."""

    def __init__(self, context: Context | None = None, overrides: list[Parameter] | None = None) -> None:
        super().__init__("hand_eye_sampler_node", context=context, parameter_overrides=overrides or [])
        cv2.setNumThreads(1)
        self.parameters = settings = declare_parameters(self, Parameters)
        if not settings.camera or not settings.folder:
            raise ContractError("give both parameters: camera (its name) and folder (where samples go)")
        self._folder = Path(settings.folder).expanduser()
        self._detector = BoardDetector(load_board(Path(settings.board) if settings.board else None))
        self._pairing = SamplePairing(PairingLimits(settings.picture_age, settings.apart, settings.rest_time))
        self._stored, self._last_answer = 0, "no sample yet"
        quality = topics.sensor(False)
        subscriptions = [
            self.create_subscription(Image, topics.camera_image(settings.camera), self._on_image, quality),
            self.create_subscription(PoseStamped, topics.ARM_CURRENT_POSE, self._on_pose, quality),
        ]
        self.create_service(Trigger, "~/sample", self._on_sample)
        self._key = self.create_guard_condition(self._on_key)
        self._readiness = Readiness(self, [], subscriptions)
        self._diagnostics = Diagnostics(self, self.status)
        if settings.keyboard and sys.stdin is not None and sys.stdin.isatty():
            self.get_logger().info("Enter: take a sample; Ctrl-C: end")
            threading.Thread(target=self._read_keys, name="keys", daemon=True).start()

    def _read_keys(self) -> None:
        for _ in sys.stdin:
            self._key.trigger()

    def _on_image(self, message: Image) -> None:
        self._pairing.add_picture(
            convert.to_nanoseconds(message.header.stamp), convert.from_image_message(message)
        )

    def _on_pose(self, message: PoseStamped) -> None:
        self._pairing.add_pose(convert.to_nanoseconds(message.header.stamp), convert.to_pose(message.pose))

    def _on_key(self) -> None:
        try:
            self.get_logger().info(self._sample())
        except ContractError as refusal:
            self.get_logger().error(f"no sample: {refusal}")

    def _on_sample(self, request: Trigger.Request, response: Trigger.Response) -> Trigger.Response:
        try:
            response.message, response.success = self._sample(), True
        except ContractError as refusal:
            response.message, response.success = str(refusal), False
        self._last_answer = response.message
        return response

    def _sample(self) -> str:
        """Store a sample; says which.

        Raises:
            ContractError: there is none to store; says why.
        """
        pair = self._pairing.pair(self.get_clock().now().nanoseconds)
        view = self._detector.detect(pair.image)
        if not view.usable:
            raise SampleRefusedError(
                f"the picture shows {len(view.ids)} corners of the board; show more of it"
            )
        name = store_sample(
            self._folder,
            pair.image,
            pair.flange_in_base,
            self.parameters.camera,
            pair.image_stamp_ns,
            pair.pose_stamp_ns,
        )
        self._stored += 1
        return f"{self._folder / name}: {len(view.ids)} corners; {self._stored} samples in this run"

    def status(self) -> DiagnosticStatus:
        """What the last request came to."""
        values = {"stored": self._stored, "folder": self._folder}
        return diagnostic_status(self, DiagnosticStatus.OK, self._last_answer, values)


def main() -> None:
    """Run the node."""
    run_node(HandEyeSamplerNode)


if __name__ == "__main__":
    main()
