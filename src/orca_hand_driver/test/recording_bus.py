"""The simulated servo bus in a process, which writes down every goal that its motors pull to.

    python recording_bus.py LINK RECORD [VERSION MODEL]

A row of the record is: steady time (s), the joints' goals (rad), whether their torque is on, and the joints'
positions (rad); a row is added when a goal or torque changes.
"""

import signal
import sys
import time
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from soft_flow_sim.servo_bus.bus_server import BusServer
from soft_flow_sim.servo_bus.hand_gearing import HandGearing
from soft_flow_sim.servo_bus.hand_mechanics import HandMeasurement
from soft_flow_sim.servo_bus.hand_servos import HandServos
from soft_flow_sim.servo_bus.pty_port import PtyPort
from soft_flow_sim.servo_bus.standalone_hand import StandaloneHand
from soft_flow_sim.servo_bus.wire_time import WireTime

_BAUD_RATE = 5  # 3,000,000


class RecordingHand:
    """A hand that writes down how it is driven."""

    def __init__(self, hand: StandaloneHand, record: Path) -> None:
        self.joint_names = hand.joint_names
        self._hand = hand
        self._file = record.open("ab", buffering=0)
        self._last: NDArray[np.float64] | None = None

    def measure(self) -> HandMeasurement:
        return self._hand.measure()

    def drive(
        self, goal: NDArray[np.float64], torque_limit: NDArray[np.float64], enabled: NDArray[np.bool_]
    ) -> None:
        self._hand.drive(goal, torque_limit, enabled)
        drive = np.concatenate([np.where(enabled, goal, 0.0), enabled])
        if self._last is None or not np.array_equal(drive, self._last):
            self._last = drive
            position = self._hand.measure().position
            self._file.write(np.concatenate([[time.monotonic()], goal, enabled, position]).tobytes())


def main() -> None:
    link, record, version, model = [*sys.argv[1:], "v2", "orcahand-right"][:4]
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))
    gearing = HandGearing.load(version, model)
    hand = RecordingHand(StandaloneHand(gearing, time.monotonic), Path(record))
    port = PtyPort(Path(link))
    servos = HandServos(gearing, hand, _BAUD_RATE, time.monotonic)
    wire = WireTime(3_000_000, servos.time)
    BusServer(gearing, servos, port, wire).run(lambda: print("ready", flush=True), lambda: False)


if __name__ == "__main__":
    main()
