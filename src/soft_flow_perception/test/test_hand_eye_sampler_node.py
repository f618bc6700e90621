"""The node in-process; a peer plays camera and arm, and asks for samples."""

import os
import pty
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import rclpy
from board_scene import SIZE, Renderer, board_pose
from geometry_msgs.msg import PoseStamped
from rclpy.context import Context
from rclpy.executors import SingleThreadedExecutor
from rclpy.parameter import Parameter
from sensor_msgs.msg import Image
from std_srvs.srv import Trigger

from soft_flow_contract import message_conversion as convert
from soft_flow_contract import topics
from soft_flow_contract.errors import ContractError
from soft_flow_contract.pose import Pose
from soft_flow_perception.calibration.hand_eye_samples import read_lines
from soft_flow_perception.calibration.picture_folder import read_picture
from soft_flow_perception.hand_eye_sampler_node import HandEyeSamplerNode

POSE = Pose(np.array([0.4, 0.1, 0.3]), np.array([1.0, 0.0, 0.0, 0.0]))


class Cell:
    """The sampler, and the drivers of camera and arm."""

    def __init__(self, folder: Path, **parameters: Any) -> None:
        self.context = Context()
        rclpy.init(context=self.context)
        values = {"camera": "wrist", "folder": str(folder), "keyboard": False, **parameters}
        overrides = [Parameter(name, value=value) for name, value in values.items()]
        self.node = HandEyeSamplerNode(self.context, overrides)
        self.peer = rclpy.create_node("peer", context=self.context)
        quality = topics.sensor(False)
        self.camera = self.peer.create_publisher(Image, topics.camera_image("wrist"), quality)
        self.arm = self.peer.create_publisher(PoseStamped, topics.ARM_CURRENT_POSE, quality)
        self.client = self.peer.create_client(Trigger, "hand_eye_sampler_node/sample")
        self.image, self.pose = np.zeros((SIZE[1], SIZE[0], 3), np.uint8), POSE
        self.executor = SingleThreadedExecutor(context=self.context)
        self.executor.add_node(self.node)
        self.executor.add_node(self.peer)
        self.peer.create_timer(0.02, self._publish_pose)
        self.peer.create_timer(0.1, self._publish_image)
        self.until(lambda: not self.node._readiness.missing() and self.client.service_is_ready(), "matched")

    def _publish_pose(self) -> None:
        self.arm.publish(convert.to_pose_stamped(self.pose, self.peer.get_clock().now().nanoseconds))

    def _publish_image(self) -> None:
        stamp = self.peer.get_clock().now().nanoseconds
        self.camera.publish(convert.to_image_message(self.image, stamp, "wrist_optical"))

    def until(self, condition: Callable[[], bool], what: str) -> None:
        for _ in range(3000):
            if condition():
                return
            self.executor.spin_once(timeout_sec=0.01)
        pytest.fail(f"never happened: {what}")

    def sample(self) -> Trigger.Response:
        future = self.client.call_async(Trigger.Request())
        self.until(future.done, "answer")
        return future.result()

    def until_answer(self, text: str) -> Trigger.Response:
        answers: list[Trigger.Response] = []

        def answered() -> bool:
            answers.append(self.sample())
            return text in answers[-1].message

        self.until(answered, f"an answer with '{text}'")
        return answers[-1]

    def close(self) -> None:
        self.executor.shutdown()
        self.node.destroy_node()
        self.peer.destroy_node()
        rclpy.shutdown(context=self.context)


@pytest.fixture
def make_cell(tmp_path: Path) -> Iterator[Callable[..., Cell]]:
    cells: list[Cell] = []

    def make(**parameters: Any) -> Cell:
        cells.append(Cell(tmp_path / "samples", **parameters))
        return cells[-1]

    yield make
    for cell in cells:
        cell.close()


def test_a_sample_is_stored_with_the_pose_of_the_arm_at_rest(
    make_cell: Callable[..., Cell], tmp_path: Path, renderer: Renderer
) -> None:
    cell = make_cell(rest_time=0.1)
    cell.image = renderer.render(board_pose(0.5, 0.5, 0.4))
    answer = cell.until_answer("0000.png")
    assert answer.success and "corners; 1 samples" in answer.message
    line = read_lines(tmp_path / "samples")[0]
    np.testing.assert_allclose(line.position, POSE.position)
    np.testing.assert_allclose(line.quaternion, POSE.quaternion)
    assert line.camera == "wrist" and abs(line.image_stamp_ns - line.pose_stamp_ns) < 50_000_000
    np.testing.assert_array_equal(read_picture(tmp_path / "samples" / "0000.png"), cell.image)


def test_a_picture_without_the_board_is_refused(make_cell: Callable[..., Cell], tmp_path: Path) -> None:
    answer = make_cell(rest_time=0.1).until_answer("0 corners of the board")
    assert not answer.success and not (tmp_path / "samples").exists()


def test_an_arm_that_moves_is_refused(make_cell: Callable[..., Cell], renderer: Renderer) -> None:
    cell = make_cell(rest_time=0.2)
    cell.image = renderer.render(board_pose(0.5, 0.5, 0.4))
    moving = {"x": 0.0}

    def move() -> None:
        moving["x"] += 0.002
        cell.pose = POSE.moved(np.array([moving["x"], 0, 0]), np.zeros(3))

    cell.peer.create_timer(0.02, move)
    answer = cell.until_answer("the arm moved by")
    assert not answer.success and cell.node.status().message == answer.message


def test_camera_and_folder_must_be_given(make_cell: Callable[..., Cell]) -> None:
    with pytest.raises(ContractError, match="camera .* and folder"):
        make_cell(camera="")


def test_enter_on_a_terminal_asks_for_a_sample(tmp_path: Path) -> None:
    keyboard, terminal = pty.openpty()
    command = [sys.executable, "-m", "soft_flow_perception.hand_eye_sampler_node", "--ros-args"]
    process = subprocess.Popen(
        [*command, "-p", "camera:=wrist", "-p", f"folder:={tmp_path}"],
        stdin=terminal,
        stderr=subprocess.PIPE,
        text=True,
    )
    too_long = threading.Timer(60.0, process.kill)  # ends the reading below
    too_long.start()
    said = ""
    try:
        assert process.stderr is not None
        for line in process.stderr:
            said += line
            if "Enter: take a sample" in line:
                os.write(keyboard, b"\n")
            if "no sample: no picture has come" in line:
                break
    finally:
        too_long.cancel()
        process.kill()
        process.communicate()
        os.close(keyboard)
        os.close(terminal)
    assert "no sample: no picture has come" in said
