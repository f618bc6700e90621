"""The node as a process of its own: pictures that do not fit into Fast DDS's usual shared memory arrive."""

import os
import signal
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import rclpy
from cell_file import write_cell, write_pictures
from rclpy.context import Context
from rclpy.executors import SingleThreadedExecutor
from sensor_msgs.msg import Image

from soft_flow_contract import message_conversion as convert
from soft_flow_contract import topics

FPS = 20.0
COUNT = 30
WIDTH, HEIGHT = 640, 480  # 900 kB


def test_large_pictures_reach_another_process(tmp_path: Path) -> None:
    camera = {
        "name": "wrist",
        "driver": "images",
        "source": "pictures",
        "width": WIDTH,
        "height": HEIGHT,
        "fps": FPS,
    }
    write_pictures(tmp_path / "pictures", 10, WIDTH, HEIGHT)
    robot_file = write_cell(tmp_path, camera)
    command = [sys.executable, "-m", "soft_flow_perception.camera_node", "--ros-args"]
    process = subprocess.Popen(
        [*command, "-p", f"robot_file:={robot_file}", "-p", "camera:=wrist"], env=os.environ
    )
    context = Context()
    rclpy.init(context=context)
    node = rclpy.create_node("listener", context=context)
    executor = SingleThreadedExecutor(context=context)
    executor.add_node(node)
    stamps: list[int] = []
    node.create_subscription(
        Image,
        topics.camera_image("wrist"),
        lambda message: stamps.append(convert.to_nanoseconds(message.header.stamp)),
        topics.sensor(False),
    )
    try:
        for _ in range(6000):
            executor.spin_once(timeout_sec=0.01)
            if len(stamps) >= COUNT:
                break
        else:
            pytest.fail(f"{len(stamps)} pictures came")
        # Frames are stamped when they are due, so the stamps tell how many were published meanwhile.
        published = 1 + round((stamps[-1] - stamps[0]) * 1e-9 * FPS)
        assert published < 1.7 * COUNT, f"{COUNT} of {published} pictures arrived"
        assert np.all(np.diff(stamps) > 0)
        process.send_signal(signal.SIGINT)
        assert process.wait(timeout=30) == 0
    finally:
        process.kill()
        process.wait()
        executor.shutdown()
        node.destroy_node()
        rclpy.shutdown(context=context)
