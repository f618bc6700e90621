"""Recordings and devices as sources: what they give, and what they say when they cannot."""

import shutil
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from cell_file import picture, write_cell, write_pictures, write_video

from soft_flow_contract.robot_cell import CameraConfiguration, RobotCell
from soft_flow_perception.camera_sources.camera_source import CameraError, CameraSource, RecordingEndedError
from soft_flow_perception.camera_sources.capture_clock import LONGEST_DELAY_NS, DeviceClock, plausible
from soft_flow_perception.camera_sources.folder_source import FolderSource
from soft_flow_perception.camera_sources.pacing import Pacer
from soft_flow_perception.camera_sources.realsense_source import RealsenseSource, load_library
from soft_flow_perception.camera_sources.source_of_camera import source_of_camera
from soft_flow_perception.camera_sources.v4l2_source import V4l2Source, device_path
from soft_flow_perception.camera_sources.video_source import VideoSource

MS = 1_000_000


class Clock:
    """A clock that only `sleep` moves."""

    def __init__(self) -> None:
        self.now = 5_000 * MS

    def __call__(self) -> int:
        return self.now

    def sleep(self, seconds: float) -> None:
        self.now += round(seconds * 1e9)


def pacer(fps: float = 10.0) -> Pacer:
    clock = Clock()
    return Pacer(fps, clock, clock.sleep)


def recording(kind: str, folder: Path, loop: bool) -> CameraSource:
    if kind == "images":
        return FolderSource(write_pictures(folder / "pictures", 3), pacer(), loop)
    return VideoSource(write_video(folder / "video.avi", 3), pacer(), loop)


def camera(**values: Any) -> CameraConfiguration:
    return CameraConfiguration(**{"name": "wrist", "driver": "v4l2", "source": "0", **values})


@pytest.mark.parametrize("kind", ["images", "video"])
def test_a_recording_gives_its_pictures_in_order_at_its_rate_and_ends(tmp_path: Path, kind: str) -> None:
    source = recording(kind, tmp_path, loop=False)
    source.open()
    frames = [source.read() for _ in range(3)]
    for number, frame in enumerate(frames):
        assert frame.image.shape == (48, 64, 3) and frame.image.dtype == np.uint8
        np.testing.assert_allclose(frame.image[-1, -1], picture(number)[-1, -1], atol=4)
        np.testing.assert_allclose(frame.image[2, 2], [250, 0, 0], atol=20)  # RGB, not BGR
    assert np.diff([frame.capture_ns for frame in frames]).tolist() == [100 * MS, 100 * MS]
    with pytest.raises(RecordingEndedError):
        source.read()
    source.close()
    source.close()


@pytest.mark.parametrize("kind", ["images", "video"])
def test_a_recording_that_loops_begins_again(tmp_path: Path, kind: str) -> None:
    source = recording(kind, tmp_path, loop=True)
    source.open()
    shown = [int(source.read().image[-1, -1, 1]) for _ in range(7)]
    np.testing.assert_allclose(shown, [20, 40, 60, 20, 40, 60, 20], atol=4)


@pytest.mark.parametrize("kind", ["images", "video"])
def test_a_recording_that_vanishes_is_an_error_that_names_it(tmp_path: Path, kind: str) -> None:
    source = recording(kind, tmp_path, loop=True)
    source.open()
    source.read()
    path = tmp_path / ("pictures" if kind == "images" else "video.avi")
    shutil.rmtree(path) if path.is_dir() else path.unlink()
    with pytest.raises(CameraError, match=path.name):
        source.read()
    source.close()
    with pytest.raises(CameraError, match=f"{path.name}: there is no such"):
        source.open()


def test_what_is_no_recording_is_refused(tmp_path: Path) -> None:
    with pytest.raises(CameraError, match="has no picture"):
        FolderSource(tmp_path, pacer()).open()
    (tmp_path / "text.avi").write_text("no video")
    with pytest.raises(CameraError, match="cannot be opened as a video"):
        VideoSource(tmp_path / "text.avi", pacer()).open()


def test_a_pacer_does_not_hurry_after_a_delay() -> None:
    clock = Clock()
    paced = Pacer(10.0, clock, clock.sleep)
    first = paced.wait()
    assert paced.wait() - first == 100 * MS
    clock.now += 950 * MS
    late = paced.wait()
    assert late == clock.now and paced.wait() - late == 100 * MS


def test_a_device_that_does_not_exist_is_one_error_that_names_what_exists(tmp_path: Path) -> None:
    (tmp_path / "v4l" / "by-id").mkdir(parents=True)
    for name in ("video2", "v4l/by-id/usb-wrist-index0"):
        (tmp_path / name).touch()
    with pytest.raises(CameraError) as error:
        V4l2Source(camera(source="0"), device_folder=tmp_path).open()
    text = str(error.value)
    assert "camera 'wrist'" in text and f"{tmp_path}/video0 does not exist" in text
    assert f"{tmp_path}/video2" in text and "usb-wrist-index0" in text


def test_without_any_video_device_the_error_says_so(tmp_path: Path) -> None:
    with pytest.raises(CameraError, match="no video device at all"):
        V4l2Source(camera(), device_folder=tmp_path).open()


def test_a_device_that_is_no_camera_is_refused(tmp_path: Path) -> None:
    (tmp_path / "video0").write_text("not a device")
    with pytest.raises(CameraError, match=r"exists, but gives no pictures"):
        V4l2Source(camera(), device_folder=tmp_path).open()


def test_a_device_is_named_by_index_or_by_path() -> None:
    assert device_path("3") == Path("/dev/video3")
    assert device_path("/dev/v4l/by-id/usb") == Path("/dev/v4l/by-id/usb")


def test_a_stamp_is_plausible_only_shortly_before_the_arrival() -> None:
    arrival = 100_000 * MS
    assert plausible(arrival - 30 * MS, arrival) and plausible(arrival, arrival)
    assert not plausible(0, arrival)  # the driver gives none
    assert not plausible(arrival + MS, arrival)  # from the future: another clock
    assert not plausible(arrival - LONGEST_DELAY_NS - 1, arrival)


def test_a_devices_clock_is_mapped_by_its_quickest_frame_and_follows_a_reset() -> None:
    clock, offset = DeviceClock(), 7_000 * MS
    delays = [9 * MS, 4 * MS, 30 * MS, 6 * MS]
    mapped = [clock.to_steady(t * 33 * MS, t * 33 * MS + offset + d) for t, d in enumerate(delays)]
    truth = [t * 33 * MS + offset for t in range(4)]
    assert [m - t for m, t in zip(mapped, truth, strict=True)] == [9 * MS, 4 * MS, 4 * MS, 4 * MS]
    assert clock.to_steady(0, 9_000 * MS) == 9_000 * MS


class FakeRealsense:
    """As much of pyrealsense2 as is used."""

    stream = SimpleNamespace(color="color")
    format = SimpleNamespace(rgb8="rgb8")
    camera_info = SimpleNamespace(serial_number="serial")
    timestamp_domain = SimpleNamespace(hardware_clock="hardware", system_time="system", global_time="global")

    def __init__(self, domain: str, stamps_ms: list[float], connected: bool = True) -> None:
        self.domain, self.stamps, self.connected, self.running = domain, stamps_ms, connected, False
        self.asked: list[Any] = []

    def config(self) -> Any:
        return SimpleNamespace(
            enable_device=lambda serial: self.asked.append(serial),
            enable_stream=lambda *arguments: self.asked.append(arguments),
        )

    def pipeline(self) -> Any:
        return self

    def context(self) -> Any:
        device = SimpleNamespace(get_info=lambda kind: "4711")
        return SimpleNamespace(query_devices=lambda: [device])

    def start(self, config: Any) -> None:
        if not self.connected:
            raise RuntimeError("No device connected")
        self.running = True

    def stop(self) -> None:
        self.running = False

    def wait_for_frames(self, timeout_ms: int) -> Any:
        if not self.stamps:
            raise RuntimeError(f"Frame didn't arrive within {timeout_ms}")
        stamp = self.stamps.pop(0)
        frame = SimpleNamespace(
            get_data=lambda: picture(1),
            get_timestamp=lambda: stamp,
            get_frame_timestamp_domain=lambda: self.domain,
        )
        return SimpleNamespace(get_color_frame=lambda: frame)


@pytest.mark.parametrize(
    ("domain", "stamp_ms", "capture_ms"),
    [("hardware", 12.5, 5000.0), ("system", 99_980.0, 4980.0), ("global", 99_000.0 - 1.0, 5000.0)],
)
def test_a_realsense_stamp_is_mapped_to_the_steady_clock_by_its_domain(
    domain: str, stamp_ms: float, capture_ms: float
) -> None:
    library = FakeRealsense(domain, [stamp_ms])
    source = RealsenseSource(
        camera(driver="realsense", source="4711"),
        lambda: library,
        steady_ns=lambda: 5000 * MS,
        wall_ns=lambda: 100_000 * MS,
    )
    source.open()
    frame = source.read()
    assert frame.capture_ns == capture_ms * MS  # the last one is over a second old, so the arrival counts
    np.testing.assert_array_equal(frame.image, picture(1))
    assert library.asked == ["4711", ("color", 640, 480, "rgb8", 30)]
    with pytest.raises(CameraError, match="didn't arrive"):
        source.read()
    source.close()
    assert not library.running


def test_a_realsense_that_is_not_there_is_an_error_that_names_those_that_are() -> None:
    library = FakeRealsense("system", [], connected=False)
    source = RealsenseSource(camera(driver="realsense", source="1234"), lambda: library)
    with pytest.raises(CameraError, match=r"1234.*640x480.*No device connected.*connected: 4711"):
        source.open()


def test_without_its_library_a_realsense_says_how_to_install_it() -> None:
    try:
        load_library()
    except CameraError as error:
        assert "pip install -r requirements/cameras.txt" in str(error)
    else:  # where it is installed, it has what is used
        library = load_library()
        for name in ("pipeline", "config", "context", "stream", "format", "timestamp_domain"):
            assert hasattr(library, name)


@pytest.mark.parametrize(
    ("driver", "kind"),
    [("v4l2", V4l2Source), ("realsense", RealsenseSource), ("video", VideoSource), ("images", FolderSource)],
)
def test_every_driver_has_its_source(tmp_path: Path, driver: str, kind: type) -> None:
    cell_file = write_cell(tmp_path, {"name": "a", "driver": driver, "source": "x"})
    assert isinstance(source_of_camera(RobotCell.load(cell_file).camera("a"), cell_file), kind)


def test_recordings_lie_beside_the_cell(tmp_path: Path) -> None:
    cell_file = write_cell(tmp_path, {"name": "a", "driver": "images", "source": "pictures"})
    write_pictures(tmp_path / "pictures", 1)
    source = source_of_camera(RobotCell.load(cell_file).camera("a"), cell_file)
    source.open()
    np.testing.assert_array_equal(source.read().image, picture(0))
