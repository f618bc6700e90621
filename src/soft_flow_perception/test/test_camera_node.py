"""The node in-process with its own context; a peer listens to all that it publishes."""

import shutil
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import rclpy
from cell_file import picture, write_cell, write_pictures, write_video
from diagnostic_msgs.msg import DiagnosticArray, DiagnosticStatus
from rclpy.context import Context
from rclpy.executors import SingleThreadedExecutor
from rclpy.parameter import Parameter
from rosgraph_msgs.msg import Clock
from scripted_source import LOST, ScriptedSource
from sensor_msgs.msg import CameraInfo, CompressedImage, Image

from soft_flow_contract import message_conversion as convert
from soft_flow_contract import topics
from soft_flow_contract.errors import ContractError, SpecificationError
from soft_flow_contract.image_codec import decode_image
from soft_flow_perception.camera_info_file import CameraInfo as Calibration
from soft_flow_perception.camera_node import CameraNode
from soft_flow_perception.camera_sources.camera_source import CameraSource

K = np.array([[60.0, 0, 31.5], [0, 61.0, 23.5], [0, 0, 1]])


class Cell:
    """A camera node and a peer that listens to it."""

    def __init__(self, robot_file: Path, source: CameraSource | None = None, **parameters: Any) -> None:
        self.context = Context()
        rclpy.init(context=self.context)
        values = {"robot_file": str(robot_file), "camera": "wrist", "first_pause": 0.02, **parameters}
        overrides = [Parameter(name, value=value) for name, value in values.items()]
        self.node = CameraNode(self.context, overrides, source)
        self.peer = rclpy.create_node("peer", context=self.context)
        self.images: list[Image] = []
        self.compressed: list[CompressedImage] = []
        self.infos: list[CameraInfo] = []
        self.diagnostics: list[DiagnosticStatus] = []
        for kind, topic, kept in (
            (Image, topics.camera_image("wrist"), self.images),
            (CompressedImage, topics.camera_compressed("wrist"), self.compressed),
            (CameraInfo, topics.camera_info("wrist"), self.infos),
        ):
            self.peer.create_subscription(kind, topic, kept.append, topics.sensor(False))
        self.peer.create_subscription(
            DiagnosticArray, topics.DIAGNOSTICS, lambda m: self.diagnostics.extend(m.status), 10
        )
        self.executor = SingleThreadedExecutor(context=self.context)
        self.executor.add_node(self.node)
        self.executor.add_node(self.peer)

    def close(self) -> None:
        if self.source_ends is not None:
            self.source_ends()
        self.executor.shutdown()
        self.node.destroy_node()
        self.peer.destroy_node()
        rclpy.shutdown(context=self.context)

    source_ends: Callable[[], None] | None = None

    def until(self, condition: Callable[[], bool], what: str) -> None:
        for _ in range(3000):
            if condition():
                return
            self.executor.spin_once(timeout_sec=0.01)
        pytest.fail(f"never happened: {what}")

    def until_level(self, level: bytes) -> DiagnosticStatus:
        self.until(lambda: self.node.status().level == level, f"level {level!r}")
        return self.node.status()

    def heard(self, level: bytes, text: str) -> Callable[[], bool]:
        return lambda: any(d.level == level and text in d.message for d in self.diagnostics)


@pytest.fixture
def make_cell() -> Iterator[Callable[..., Cell]]:
    cells: list[Cell] = []

    def make(robot_file: Path, source: CameraSource | None = None, **parameters: Any) -> Cell:
        cells.append(Cell(robot_file, source, **parameters))
        if isinstance(source, ScriptedSource):
            cells[-1].source_ends = source.end
        return cells[-1]

    yield make
    for cell in cells:
        cell.close()


def calibrated(folder: Path, width: int = 64, height: int = 48) -> str:
    calibration = Calibration.calibrated("wrist", (width, height), K, np.array([0.1, -0.2, 0, 0, 0]), K)
    calibration.write(folder / "wrist.yaml", [])
    return "wrist.yaml"


def recorded(folder: Path, driver: str, **camera: Any) -> Path:
    """A cell whose camera is a recording."""
    source = write_pictures(folder / "pictures", 5) if driver == "images" else folder / "video.avi"
    if driver == "video":
        write_video(source, 5)
    return write_cell(folder, {"name": "wrist", "driver": driver, "source": source.name, **camera})


def device(folder: Path, **camera: Any) -> Path:
    """A cell whose camera is a device, in whose place a test puts its own source."""
    return write_cell(folder, {"name": "wrist", "driver": "v4l2", "source": "0", **camera})


def stamps(messages: list[Any]) -> list[int]:
    return [convert.to_nanoseconds(message.header.stamp) for message in messages]


@pytest.mark.parametrize("driver", ["images", "video"])
def test_a_frame_is_published_on_all_topics_with_one_stamp_and_stamps_rise(
    make_cell: Callable[..., Cell], tmp_path: Path, driver: str
) -> None:
    cell = make_cell(recorded(tmp_path, driver, calibration=calibrated(tmp_path)))
    begin = cell.peer.get_clock().now().nanoseconds
    kinds = (cell.images, cell.compressed, cell.infos)
    cell.until(lambda: all(len(kept) >= 8 for kept in kinds), "eight frames on each topic")
    end = cell.peer.get_clock().now().nanoseconds
    for kept in kinds:
        times = stamps(kept)
        assert times == sorted(set(times))
        assert begin - 10**9 < times[0] and times[-1] < end
        assert {message.header.frame_id for message in kept} == {"wrist_optical"}
    # Best effort may lose a message here and there, but what belongs together has the same stamp.
    together = set(stamps(cell.images)) & set(stamps(cell.compressed)) & set(stamps(cell.infos))
    assert len(together) >= 4


def test_pictures_arrive_as_they_are_and_compressed_ones_can_be_decoded(
    make_cell: Callable[..., Cell], tmp_path: Path
) -> None:
    cell = make_cell(recorded(tmp_path, "images"))
    cell.until(lambda: bool(set(stamps(cell.images)) & set(stamps(cell.compressed))), "both of one frame")
    compressed = next(m for m in cell.compressed if m.header.stamp in [i.header.stamp for i in cell.images])
    image = next(m for m in cell.images if m.header.stamp == compressed.header.stamp)
    assert image.encoding == "rgb8" and compressed.format == "rgb8; jpeg compressed bgr8"
    raw = convert.from_image_message(image)
    assert any(np.array_equal(raw, picture(number)) for number in range(5))
    np.testing.assert_allclose(decode_image(compressed.data)[24:], raw[24:], atol=4)
    np.testing.assert_allclose(decode_image(compressed.data)[2, 2], raw[2, 2], atol=20)


def test_camera_info_is_that_of_the_calibration_file(make_cell: Callable[..., Cell], tmp_path: Path) -> None:
    cell = make_cell(recorded(tmp_path, "images", calibration=calibrated(tmp_path)))
    cell.until(lambda: bool(cell.infos), "camera info")
    info = cell.infos[0]
    assert (info.width, info.height, info.distortion_model) == (64, 48, "plumb_bob")
    np.testing.assert_allclose(np.reshape(info.k, (3, 3)), K)
    np.testing.assert_allclose(info.d, [0.1, -0.2, 0, 0, 0])
    np.testing.assert_allclose(np.reshape(info.p, (3, 4))[:, :3], K)
    assert cell.until_level(DiagnosticStatus.OK).message == "streaming"


@pytest.mark.parametrize("calibration", ["", "not_there_yet.yaml"])
def test_without_calibration_camera_info_is_empty_and_a_warning_says_how_to_calibrate(
    make_cell: Callable[..., Cell], tmp_path: Path, calibration: str
) -> None:
    cell = make_cell(recorded(tmp_path, "images", calibration=calibration))
    cell.until(lambda: bool(cell.infos), "camera info")
    assert np.all(cell.infos[0].k == 0) and cell.infos[0].width == 64
    cell.until(cell.heard(DiagnosticStatus.WARN, "soft-flow calibrate intrinsics --camera wrist"), "warning")


def test_a_calibration_of_another_size_is_refused_at_the_start(
    make_cell: Callable[..., Cell], tmp_path: Path
) -> None:
    with pytest.raises(SpecificationError, match=r"640x480.*64x48"):
        make_cell(recorded(tmp_path, "images", calibration=calibrated(tmp_path, 640, 480)))


def test_an_unknown_camera_is_refused_with_those_that_there_are(
    make_cell: Callable[..., Cell], tmp_path: Path
) -> None:
    with pytest.raises(SpecificationError, match="no camera 'left'; it has: wrist"):
        make_cell(recorded(tmp_path, "images"), camera="left")


def test_a_node_that_would_publish_nothing_is_refused(make_cell: Callable[..., Cell], tmp_path: Path) -> None:
    with pytest.raises(ContractError, match="both false"):
        make_cell(recorded(tmp_path, "images"), publish_raw=False, publish_compressed=False)


def test_a_folder_that_vanishes_is_an_error_and_its_return_a_reconnect(
    make_cell: Callable[..., Cell], tmp_path: Path
) -> None:
    cell = make_cell(recorded(tmp_path, "images"), longest_pause=0.05)
    cell.until(lambda: bool(cell.images), "pictures")
    shutil.rmtree(tmp_path / "pictures")
    cell.until(cell.heard(DiagnosticStatus.ERROR, "there is no such folder"), "error")
    write_pictures(tmp_path / "pictures", 5)
    cell.until(lambda: cell.node.status().level != DiagnosticStatus.ERROR, "pictures again")
    before = len(cell.images)
    cell.until(lambda: len(cell.images) > before, "published again")
    assert int(values(cell.node.status())["reconnects"]) >= 1
    assert stamps(cell.images) == sorted(set(stamps(cell.images)))


def values(status: DiagnosticStatus) -> dict[str, str]:
    return {pair.key: pair.value for pair in status.values}


def test_while_a_device_is_lost_nothing_is_published_and_diagnostics_say_why(
    make_cell: Callable[..., Cell], tmp_path: Path
) -> None:
    source = ScriptedSource()
    cell = make_cell(device(tmp_path), source, longest_pause=0.05)
    send_until_seen(cell, source)
    source.put(LOST)
    cell.until(cell.heard(DiagnosticStatus.ERROR, "no pictures: the cable is out"), "error")
    count = values(cell.node.status())["published"]
    cell.until(lambda: source.calls.count("open") >= 2, "opened again")
    assert cell.node.status().level == DiagnosticStatus.ERROR  # until a picture comes
    assert values(cell.node.status())["published"] == count
    send_until_seen(cell, source)
    assert cell.node.status().level == DiagnosticStatus.WARN  # uncalibrated, nothing else


def send_until_seen(cell: Cell, source: ScriptedSource) -> None:
    """Pictures one after the other until the peer has got one: its subscription may still be matched."""
    before, number = len(cell.images), 0
    for number in range(300):
        source.put(picture(number))
        for _ in range(10):
            cell.executor.spin_once(timeout_sec=0.01)
            if len(cell.images) > before:
                return
    pytest.fail("no picture came")


def test_a_frozen_picture_looks_like_a_lost_camera(make_cell: Callable[..., Cell], tmp_path: Path) -> None:
    robot_file = recorded(tmp_path, "images")
    for path in sorted((tmp_path / "pictures").iterdir())[1:]:
        path.unlink()
    cell = make_cell(robot_file, longest_pause=0.05)  # one picture, again and again
    cell.until(cell.heard(DiagnosticStatus.ERROR, "frozen: camera 'wrist'"), "frozen")
    assert values(cell.node.status())["published"] == "1"


def test_a_synthetic_picture_may_stand_still_where_frozen_detection_is_off(
    make_cell: Callable[..., Cell], tmp_path: Path
) -> None:
    robot_file = recorded(tmp_path, "images")
    for path in sorted((tmp_path / "pictures").iterdir())[1:]:
        path.unlink()
    cell = make_cell(robot_file, frozen_limit=0.0)
    cell.until(lambda: len(cell.images) >= 5, "five times the same picture")
    assert not cell.heard(DiagnosticStatus.ERROR, "")()


def test_another_size_than_the_cells_is_an_error_that_names_both(
    make_cell: Callable[..., Cell], tmp_path: Path
) -> None:
    cell = make_cell(recorded(tmp_path, "images", width=80, height=60))
    cell.until(cell.heard(DiagnosticStatus.ERROR, "gives 64x48 pixels, its cell says 80x60"), "error")
    assert cell.images == []


def test_a_device_that_cannot_be_opened_is_an_error_and_the_node_lives_on(
    make_cell: Callable[..., Cell], tmp_path: Path
) -> None:
    cell = make_cell(device(tmp_path, source=str(tmp_path / "video7")))
    cell.until(cell.heard(DiagnosticStatus.ERROR, "video7 does not exist; there is:"), "error")


def test_a_recording_may_end(make_cell: Callable[..., Cell], tmp_path: Path) -> None:
    cell = make_cell(recorded(tmp_path, "video"), loop=False)
    cell.until(lambda: "the video is over" in cell.node.status().message, "end")
    assert cell.node.status().level == DiagnosticStatus.WARN


def test_in_simulated_time_stamps_are_those_of_the_clock(
    make_cell: Callable[..., Cell], tmp_path: Path
) -> None:
    source = ScriptedSource()
    cell = make_cell(device(tmp_path), source, use_sim_time=True)
    publisher = cell.peer.create_publisher(Clock, topics.CLOCK, 1)

    def seen_at(second: int) -> bool:
        publisher.publish(Clock(clock=convert.to_time(second * convert.NANOSECONDS)))
        cell.executor.spin_once(timeout_sec=0.01)
        source.put(picture(second + source.steps.qsize()))
        return second * convert.NANOSECONDS in stamps(cell.images)

    cell.until(lambda: seen_at(7), "a picture stamped 7 s")
    cell.until(lambda: seen_at(9), "a picture stamped 9 s")
    assert stamps(cell.images) == [7 * convert.NANOSECONDS, 9 * convert.NANOSECONDS]  # strictly rising


def test_capture_times_of_the_steady_clock_become_stamps_of_the_nodes_clock(
    make_cell: Callable[..., Cell], tmp_path: Path
) -> None:
    source = ScriptedSource(lambda: time.monotonic_ns() - 80_000_000)  # captured 80 ms before it came
    cell = make_cell(device(tmp_path), source)
    send_until_seen(cell, source)
    assert float(values(cell.node.status())["age_ms"]) >= 80.0
    assert stamps(cell.images)[-1] <= cell.peer.get_clock().now().nanoseconds - 80_000_000


def test_raw_images_can_be_left_out(make_cell: Callable[..., Cell], tmp_path: Path) -> None:
    cell = make_cell(recorded(tmp_path, "images"), publish_raw=False)
    cell.until(lambda: len(cell.compressed) >= 3, "compressed pictures")
    assert cell.images == [] and cell.peer.count_publishers(topics.camera_image("wrist")) == 0
