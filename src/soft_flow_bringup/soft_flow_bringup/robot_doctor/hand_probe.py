"""Asks the motors of a hand (a program of `doctor`): `hand_probe PORT BAUDRATE [IDS]`.

It only pings and reads: nothing is written to a motor.
"""

import json
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import dynamixel_sdk as sdk

from orca_hand_driver.hand_port import BusError, require_free_port
from soft_flow_bringup.robot_doctor.probe_report import doing, tell
from soft_flow_bringup.robot_doctor.spread import Spread

_PROTOCOL = 2.0
_SWEEPS = 100
_PATIENCE = 4.0  # s for all sweeps: a bus that does not answer is asked less often
_ATTEMPTS = 3  # of a ping: a byte may get lost, or a busy computer be late
_PAUSE = 0.1  # s, longer every time
# Addresses and lengths of items (Robotis, control tables of XC330-T288-T and XC430-T240BB-T).
_RETURN_DELAY = 9, 1  # 2 us
_VOLTAGE_LIMITS = 32, 4  # highest and lowest, 0.1 V
_HARDWARE_ERROR = 70, 1
_MEASURED = 126, 10  # current, velocity, position: what the driver reads in every cycle
_VOLTAGE_AND_TEMPERATURE = 144, 3  # 0.1 V, degrees Celsius


class Motors:
    """An open bus."""

    def __init__(self, port: str, baudrate: int) -> None:
        """Open it.

        Raises:
            BusError: it is not there, not to be opened, or another program's.
        """
        require_free_port(Path(port))
        self._port, self._packets = sdk.PortHandler(port), sdk.PacketHandler(_PROTOCOL)
        if not (self._port.openPort() and self._port.setBaudRate(baudrate)):
            raise BusError(f"{port}: cannot be opened at {baudrate} baud")

    def models(self, ids: Sequence[int]) -> dict[int, int]:
        """Model numbers of those that answer."""
        found: dict[int, int] = {}
        for attempt in range(_ATTEMPTS):
            for motor in set(ids) - set(found):
                model, result, _ = self._packets.ping(self._port, motor)
                if result == sdk.COMM_SUCCESS:
                    found[motor] = int(model)
            if len(found) == len(ids):
                break
            time.sleep(attempt * _PAUSE)
        return found

    def reader(self, ids: Sequence[int], item: tuple[int, int]) -> "sdk.GroupSyncRead":
        """What reads an item of these motors at once."""
        group = sdk.GroupSyncRead(self._port, self._packets, *item)
        for motor in ids:
            group.addParam(motor)
        return group

    def read(self, ids: Sequence[int], item: tuple[int, int]) -> dict[int, bytes]:
        """The bytes of an item, of the motors that answered."""
        group, (address, length) = self.reader(ids, item), item
        for _ in range(_ATTEMPTS):
            if group.txRxPacket() == sdk.COMM_SUCCESS:
                break
        return {
            motor: bytes(group.getData(motor, address + byte, 1) for byte in range(length))
            for motor in ids
            if group.isAvailable(motor, address, length)
        }

    def sweep(self, ids: Sequence[int]) -> tuple[list[float], int]:
        """Round trips of complete answers of all motors, ms, and how many were incomplete."""
        group, times, failed = self.reader(ids, _MEASURED), [], 0
        until = time.monotonic() + _PATIENCE
        for _ in range(_SWEEPS):
            began = time.perf_counter()
            if group.txRxPacket() == sdk.COMM_SUCCESS:
                times.append((time.perf_counter() - began) * 1e3)
            else:
                failed += 1
            if time.monotonic() > until:
                break
        return times, failed


def _word(data: bytes) -> int:
    return int.from_bytes(data, "little")


def ask(motors: Motors, ids: Sequence[int]) -> dict[str, Any]:
    """The fields of HandReading."""
    doing("pinging the motors")
    models = motors.models(ids)
    there = sorted(models)
    times: list[float] = []
    values: dict[tuple[int, int], dict[int, bytes]] = {}
    failed = 0
    if there:
        doing("reading all motors")
        times, failed = motors.sweep(there)
        items = (_HARDWARE_ERROR, _VOLTAGE_AND_TEMPERATURE, _VOLTAGE_LIMITS, _RETURN_DELAY)
        values = {item: motors.read(there, item) for item in items}
    sweeps = Spread.of(times)
    measured = values.get(_VOLTAGE_AND_TEMPERATURE, {})
    return {
        "models": models,
        "sweeps": sweeps.model_dump() if sweeps else None,
        "failed_sweeps": failed,
        "hardware_errors": {m: _word(data) for m, data in values.get(_HARDWARE_ERROR, {}).items()},
        "temperatures": {m: data[2] for m, data in measured.items()},
        "voltages": {m: _word(data[:2]) / 10 for m, data in measured.items()},
        "voltage_limits": {
            m: (_word(data[2:]) / 10, _word(data[:2]) / 10)
            for m, data in values.get(_VOLTAGE_LIMITS, {}).items()
        },
        "return_delay": max((2 * _word(data) for data in values.get(_RETURN_DELAY, {}).values()), default=0),
    }


def main() -> None:
    """Open the port, ask, tell."""
    port, baudrate, ids = sys.argv[1], int(sys.argv[2]), json.loads(sys.argv[3])
    doing(f"opening {port}")
    try:
        motors = Motors(port, baudrate)
    except BusError as error:
        outcome = "in_use" if "another program" in str(error) else "failed"
        tell({"outcome": outcome, "problem": str(error)})
        return
    try:
        tell({"outcome": "measured", "reading": ask(motors, ids)})
    except Exception as error:  # an unplugged port raises termios.error, IndexError and others
        tell({"outcome": "failed", "problem": f"{port}: {type(error).__name__}: {error}; unplugged?"})


if __name__ == "__main__":
    main()
