"""The thread of the bus, on a bus of its own making: losses, requests, and an error of the program."""

import time
from collections.abc import Callable, Iterator

import numpy as np
import pytest
from numpy.typing import NDArray
from small_hand import AT, HAND, MODEL

from orca_hand_driver.hand_bus import HandReading
from orca_hand_driver.hand_follower import FollowerSettings, HandFollower
from orca_hand_driver.hand_port import BusError
from orca_hand_driver.hand_thread import HandThread, ThreadEvents, ThreadSettings
from soft_flow_contract.driver_machine import DriverState


class FakeBus:
    """Motors that are where they are told to be; `fails` is raised by the next read."""

    model = MODEL

    def __init__(self) -> None:
        self.energized = self.connected = False
        self.calibrated, self.calibration_problem = True, ""
        self.at, self.fails, self.refuses = AT.copy(), None, ""
        self.opened, self.released = 0, False
        self.latched: dict[str, str] = {}
        self.written: list[NDArray[np.float64]] = []

    def open(self) -> None:
        if self.refuses:
            raise BusError(self.refuses)
        self.connected, self.opened = True, self.opened + 1

    def close(self) -> None:
        self.connected = self.energized = False

    def read(self) -> HandReading | None:
        if self.fails is not None:
            failure, self.fails = self.fails, None
            raise failure
        zeros = np.zeros(3)
        return HandReading(self.at.copy(), zeros, zeros, zeros, bool(self.latched))

    def write(self, position: NDArray[np.float64]) -> None:
        assert self.energized
        self.at = position
        self.written.append(position)

    def energize(self) -> None:
        self.energized = True

    def release(self) -> None:
        self.energized, self.released = False, True

    def temperatures(self) -> NDArray[np.float64]:
        return np.full(3, 40.0)

    def faults(self) -> dict[str, str]:
        return dict(self.latched)

    def reboot(self, joints: list[str]) -> None:
        self.energized = False
        for joint in joints:
            self.latched.pop(joint, None)

    def calibrate(self, *_: object) -> bool:
        return True


class Driver:
    def __init__(self, **settings: object) -> None:
        self.bus, self.log = FakeBus(), []
        self.follower = HandFollower(MODEL, HAND, FollowerSettings(silence_limit=2.0))
        self.follower.emergency_stop(False)
        events = ThreadEvents(lambda: 0, lambda *_: None, lambda: None, lambda text, _: self.log.append(text))
        self.thread = HandThread(self.bus, self.follower, ThreadSettings(rate=500.0, **settings), events)
        self.thread.start()

    def until(self, condition: Callable[[], object], what: str) -> None:
        end = time.monotonic() + 20.0
        while not condition():
            assert time.monotonic() < end, f"never happened: {what}"
            time.sleep(0.001)

    def ready(self) -> "Driver":
        self.until(lambda: self.thread.connected, "connection")
        assert self.thread.ask(self.thread.operations.activate).result(20) == ""
        assert self.state is DriverState.READY
        return self

    @property
    def state(self) -> DriverState:
        return self.follower.report().state


@pytest.fixture
def make_driver() -> Iterator[Callable[..., Driver]]:
    drivers: list[Driver] = []

    def make(**settings: object) -> Driver:
        drivers.append(Driver(**settings))
        return drivers[-1]

    yield make
    for driver in drivers:
        assert driver.thread.close()


def test_nothing_is_written_before_torque_is_on(make_driver: Callable[..., Driver]) -> None:
    driver = make_driver()
    driver.until(lambda: driver.thread.reading is not None, "a reading")
    assert driver.bus.written == []
    driver.ready()
    driver.until(lambda: driver.bus.written, "a write")
    np.testing.assert_array_equal(driver.bus.written[-1], AT)


def test_a_lost_bus_is_a_fault_said_once_and_opened_again_without_torque(
    make_driver: Callable[..., Driver],
) -> None:
    driver = make_driver().ready()
    driver.bus.refuses = "no port"
    driver.bus.fails = BusError("gone")
    driver.until(lambda: driver.thread.problem == "no port", "attempts to connect")
    assert driver.follower.report().reason == "gone"
    assert driver.thread.ask(driver.thread.operations.recover).result(20) == "no port"
    driver.bus.refuses = ""
    driver.until(lambda: driver.thread.connected, "connection")
    driver.until(lambda: driver.thread.reading is not None, "a reading")
    assert driver.log.count("no port") == 1 and driver.log.count("gone") == 1
    assert driver.state is DriverState.FAULT and not driver.bus.energized
    assert driver.thread.ask(driver.thread.operations.recover).result(20) == ""
    assert driver.state is DriverState.READY and driver.bus.energized
    assert (driver.bus.opened, driver.thread.losses) == (2, 1)


def test_a_latched_fault_of_a_motor_stops_the_hand_and_recovery_restarts_that_motor(
    make_driver: Callable[..., Driver],
) -> None:
    driver = make_driver().ready()
    driver.bus.latched = {"index_mcp": "overload"}
    driver.until(lambda: driver.state is DriverState.FAULT, "a fault")
    assert "motor of index_mcp reports overload" in driver.follower.report().reason
    assert driver.thread.ask(driver.thread.operations.recover).result(20) == ""
    assert driver.bus.latched == {} and driver.bus.energized


def test_what_is_not_active_is_refused(make_driver: Callable[..., Driver]) -> None:
    driver = make_driver()
    driver.until(lambda: driver.thread.connected, "connection")
    operations = driver.thread.operations
    for operation in (operations.recover, operations.torque_off, operations.torque_on, operations.reboot):
        assert driver.thread.ask(operation).result(20) == "the driver is not active"
    assert driver.thread.calibrate(True, lambda _: None).result(20) == "the driver is not active"


def test_a_calibration_is_refused_while_the_hand_is_stopped_or_calibrated(
    make_driver: Callable[..., Driver],
) -> None:
    driver = make_driver().ready()
    assert "set `force`" in driver.thread.calibrate(False, lambda _: None).result(20)
    driver.follower.emergency_stop(True)
    assert driver.thread.calibrate(True, lambda _: None).result(20) == "emergency stop"
    driver.follower.emergency_stop(False)
    assert driver.thread.calibrate(True, lambda _: None).result(20) == ""
    assert driver.state is DriverState.READY


def test_an_error_of_the_program_releases_the_hand_and_is_reported(
    make_driver: Callable[..., Driver],
) -> None:
    driver = make_driver().ready()
    driver.bus.fails = RuntimeError("a mistake")
    driver.until(lambda: driver.thread.crash, "the report")
    driver.until(lambda: driver.bus.released, "release")
    assert "RuntimeError('a mistake')" in driver.thread.crash
    assert any("Traceback" in line for line in driver.log)


@pytest.mark.parametrize("release", [True, False])
def test_at_the_end_torque_goes_off_if_it_is_to(make_driver: Callable[..., Driver], release: bool) -> None:
    driver = make_driver(release_at_exit=release).ready()
    assert driver.thread.close()
    assert driver.bus.released == release and not driver.bus.connected
