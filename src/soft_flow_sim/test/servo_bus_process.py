"""The simulated servo bus in a process, and clients for it."""

import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import dynamixel_sdk
import dynamixel_sdk.port_handler

from soft_flow_sim.servo_bus.bus_server import BusServer
from soft_flow_sim.servo_bus.faults import FaultClient
from soft_flow_sim.servo_bus.hand_gearing import HandGearing
from soft_flow_sim.servo_bus.hand_servos import HandServos
from soft_flow_sim.servo_bus.pty_port import PtyPort
from soft_flow_sim.servo_bus.standalone_hand import StandaloneHand
from soft_flow_sim.servo_bus.wire_time import WireTime

DEADLINE = 30.0  # s
BAUD_RATE = 3_000_000
# The SDK waits for an answer as long as a USB adapter may hold it back, 16 ms; on a machine that runs other
# tests too, a process may have to wait longer than that for its turn.
dynamixel_sdk.port_handler.LATENCY_TIMER = 60


def wait_until(what: Callable[[], bool], meaning: str) -> None:
    """Wait for an event."""
    deadline = time.monotonic() + DEADLINE
    while not what():
        assert time.monotonic() < deadline, f"waited {DEADLINE:.0f} s in vain until {meaning}"
        time.sleep(0.005)


class BusProcess:
    """A running servo bus."""

    def __init__(self, link: Path, *arguments: str) -> None:
        self.link, self.faults = link, FaultClient(link)
        self.process = subprocess.Popen(
            [sys.executable, "-m", "soft_flow_sim.servo_bus.main", "--link", str(link), *arguments],
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )

    def line(self) -> str:
        """The next line that it prints."""
        assert self.process.stdout is not None
        return self.process.stdout.readline().strip()

    def end(self) -> int:
        """Ask it to end; its exit status."""
        self.process.terminate()
        try:
            return self.process.wait(DEADLINE)
        finally:
            self.process.kill()
            for stream in (self.process.stdout, self.process.stderr):
                assert stream is not None
                stream.close()


@contextmanager
def running_bus(link: Path, *arguments: str) -> Iterator[BusProcess]:
    """A servo bus that clients can connect to."""
    bus = BusProcess(link, *arguments)
    try:
        assert bus.line().startswith("servo bus: 17 servos")
        yield bus
    finally:
        assert bus.end() == 0


@contextmanager
def served_bus(link: Path, gearing: HandGearing, baud_rate: int | None = None) -> Iterator[None]:
    """A servo bus in a thread, which starts sooner."""
    ready, stop = threading.Event(), threading.Event()
    port = PtyPort(link)
    hand = HandServos(gearing, StandaloneHand(gearing, time.monotonic), 5, time.monotonic)
    wire = None if baud_rate is None else WireTime(baud_rate, hand.time)
    server = BusServer(gearing, hand, port, wire)
    thread = threading.Thread(target=server.run, args=(ready.set, stop.is_set))
    thread.start()
    try:
        assert ready.wait(DEADLINE)
        yield
    finally:
        stop.set()
        thread.join(DEADLINE)
        port.close()


@contextmanager
def open_port(link: Path) -> Iterator[dynamixel_sdk.PortHandler]:
    """The SDK's port."""
    port = dynamixel_sdk.PortHandler(str(link))
    assert port.openPort() and port.setBaudRate(BAUD_RATE)
    try:
        yield port
    finally:
        port.closePort()
