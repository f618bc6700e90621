"""The reader's thread with a source that does what the test says; the test waits for its news."""

import threading
from collections.abc import Callable, Iterator

import numpy as np
import pytest
from cell_file import picture
from scripted_source import LOST, ScriptedSource

from soft_flow_contract.robot_cell import CameraConfiguration
from soft_flow_perception.camera_sources.camera_source import CameraError, RecordingEndedError
from soft_flow_perception.camera_sources.frame_rate import WINDOW, FrameRate
from soft_flow_perception.camera_sources.frame_reader import FrameReader, ReaderLimits, ReaderState
from soft_flow_perception.camera_sources.frozen_picture import FrozenPicture

CAMERA = CameraConfiguration(name="wrist", driver="v4l2", source="0", width=64, height=48, fps=100.0)
LIMITS = ReaderLimits(frame_timeout=0.5, frozen_limit=0.0, first_pause=0.01, longest_pause=0.02)
SECOND = 1_000_000_000


class Clock:
    now = SECOND

    def __call__(self) -> int:
        return self.now


class Bench:
    """A reader, its source, its clock, and the news that it gave."""

    def __init__(self, limits: ReaderLimits) -> None:
        self.clock = Clock()
        self.source = ScriptedSource(self.clock)
        self._news = threading.Event()
        self.reader = FrameReader(CAMERA, self.source, limits, self._news.set, clock=self.clock)
        self.reader.start()

    def until(self, condition: Callable[[], bool], what: str) -> None:
        for _ in range(2000):
            if condition():
                return
            self._news.wait(0.01)
            self._news.clear()
        pytest.fail(f"never happened: {what}")

    def until_state(self, state: ReaderState) -> str:
        self.until(lambda: self.reader.report().state is state, state.value)
        return self.reader.report().reason


@pytest.fixture
def make_bench() -> Iterator[Callable[..., Bench]]:
    benches: list[Bench] = []

    def make(limits: ReaderLimits = LIMITS) -> Bench:
        benches.append(Bench(limits))
        return benches[-1]

    yield make
    for bench in benches:
        bench.source.end()
        bench.reader.stop(20.0)


def test_the_newest_frame_wins_and_the_others_are_counted(make_bench: Callable[..., Bench]) -> None:
    bench = make_bench()
    bench.source.put(*(picture(number) for number in range(3)))
    bench.until(lambda: bench.reader.report().frames == 3, "three frames")
    taken = bench.reader.take()
    assert taken is not None
    np.testing.assert_array_equal(taken[0].image, picture(2))
    assert bench.reader.take() is None
    assert bench.reader.report().dropped == 2


def test_a_lost_source_is_closed_and_opened_again(make_bench: Callable[..., Bench]) -> None:
    bench = make_bench()
    bench.source.put(picture(0))
    bench.until_state(ReaderState.STREAMING)
    bench.source.put(LOST)
    assert bench.until_state(ReaderState.LOST) == "the cable is out"
    assert bench.reader.take() is None  # what was not taken in time is not shown any more
    bench.source.put(picture(1))
    bench.until_state(ReaderState.STREAMING)
    assert bench.source.calls == ["open", "close", "open"]
    assert bench.reader.report().reconnects == 1


def test_a_source_that_cannot_be_opened_is_tried_again_and_its_first_pictures_are_no_reconnect(
    make_bench: Callable[..., Bench],
) -> None:
    bench = make_bench()
    bench.source.opening_error = CameraError("busy")
    bench.source.put(LOST)
    assert bench.until_state(ReaderState.LOST) in ("busy", "the cable is out")
    bench.until(lambda: bench.source.calls.count("open") >= 1, "tried")
    bench.source.opening_error = None
    bench.source.put(picture(0))
    bench.until_state(ReaderState.STREAMING)


def test_whatever_a_driver_raises_is_a_loss_with_its_reason(make_bench: Callable[..., Bench]) -> None:
    bench = make_bench()
    bench.source.put(ZeroDivisionError("in the driver"))
    assert bench.until_state(ReaderState.LOST) == "ZeroDivisionError: in the driver"


def test_another_size_is_an_error_that_names_both(make_bench: Callable[..., Bench]) -> None:
    bench = make_bench()
    bench.source.put(picture(0, 32, 24))
    reason = bench.until_state(ReaderState.LOST)
    assert "32x24" in reason and "64x48" in reason


def test_a_stream_that_falls_silent_is_lost_before_its_driver_says_so(
    make_bench: Callable[..., Bench],
) -> None:
    bench = make_bench()
    bench.source.put(picture(0))
    bench.until_state(ReaderState.STREAMING)
    bench.clock.now += SECOND
    report = bench.reader.report()
    assert report.state is ReaderState.LOST and report.reason == "no frame for 1.0 s (limit 0.5)"


def test_the_same_picture_again_is_no_news_and_for_too_long_a_loss(make_bench: Callable[..., Bench]) -> None:
    bench = make_bench(
        ReaderLimits(frame_timeout=5.0, frozen_limit=0.2, first_pause=0.01, longest_pause=0.02)
    )
    bench.source.put(picture(0))
    bench.until_state(ReaderState.STREAMING)
    bench.reader.take()
    bench.clock.now += SECOND // 10
    bench.source.put(picture(0), picture(1))  # 0.1 s of the same picture, then another one
    bench.until(lambda: bench.reader.report().frames == 2, "the second picture")
    assert bench.reader.report().repeats == 1
    bench.reader.take()
    bench.clock.now += SECOND
    bench.source.put(picture(1))
    reason = bench.until_state(ReaderState.LOST)
    assert reason.startswith("frozen: camera 'wrist' has shown the same picture for 1.0 s")
    bench.source.put(picture(1))  # reopened, and it still shows the same: still frozen, nothing is given out
    bench.until(
        lambda: bench.source.calls.count("close") >= 2 and bench.reader.take() is None, "closed again"
    )
    bench.source.put(picture(2))
    bench.until_state(ReaderState.STREAMING)


def test_a_recording_that_is_over_ends_the_reader(make_bench: Callable[..., Bench]) -> None:
    bench = make_bench()
    bench.source.put(picture(0), RecordingEndedError("that was all"))
    assert bench.until_state(ReaderState.ENDED) == "that was all"
    assert bench.reader.take() is not None  # the last picture still counts


def test_with_frozen_detection_off_no_picture_is_a_repeat() -> None:
    detector = FrozenPicture(0)
    assert not any(detector.repeats(picture(0), t * SECOND) for t in range(3)) and not detector.frozen


def test_a_single_pixel_tells_two_pictures_apart() -> None:
    detector, other = FrozenPicture(SECOND), picture(0)
    detector.repeats(picture(0), 0)
    other[5, 7, 1] += 1
    assert not detector.repeats(other, SECOND // 2)
    assert detector.repeats(other, 2 * SECOND) and detector.frozen


def test_rate_and_jitter_are_those_of_the_capture_times() -> None:
    rate = FrameRate()
    assert (rate.rate, rate.jitter, rate.full) == (0.0, 0.0, False)
    for number in range(WINDOW):
        rate.add(number * SECOND // 50 + (number % 2) * 2_000_000)
    assert rate.full and rate.rate == pytest.approx(50.0, rel=0.01)
    assert rate.jitter == pytest.approx(0.002, rel=0.01)  # alternately 22 and 18 ms
