"""A simulated hand: its servo bus in a process, its faults, its calibration, and what it was told."""

import subprocess
import sys
import time
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import yaml
from numpy.typing import NDArray

from soft_flow_sim.servo_bus.factory_calibration import factory_calibration
from soft_flow_sim.servo_bus.faults import FaultClient
from soft_flow_sim.servo_bus.hand_gearing import HandGearing


@dataclass(frozen=True)
class Driven:
    """Rows of what the motors pulled to: time (N,), goals (N, J), torque (N, J), positions (N, J)."""

    time: NDArray[np.float64]
    goal: NDArray[np.float64]
    torque: NDArray[np.bool_]
    position: NDArray[np.float64]


class BusProcess:
    """Starts the bus, and ends it."""

    def __init__(self, folder: Path, version: str = "v2", model: str = "orcahand-right") -> None:
        folder.mkdir(parents=True, exist_ok=True)
        self.link, self._record = folder / "hand", folder / "record"
        self._record.touch()
        self.version, self.model = version, model
        self.gearing = HandGearing.load(version, model)
        self.joint_names = self.gearing.joint_names
        self.faults = FaultClient(self.link)
        self._mark = 0
        program = Path(__file__).with_name("recording_bus.py")
        self._process = subprocess.Popen(
            [sys.executable, str(program), str(self.link), str(self._record), version, model],
            stdout=subprocess.PIPE,
            text=True,
        )
        assert self._process.stdout is not None
        assert self._process.stdout.readline().strip() == "ready"

    def close(self) -> None:
        self._process.terminate()
        self._process.wait(10)

    def write_calibration(self, path: Path, without: tuple[str, ...] = ()) -> None:
        """What orca_core would find out, but for some joints."""
        path.write_text(yaml.safe_dump(factory_calibration(self.gearing, without)))

    # What the motors were told

    def mark(self) -> None:
        """Forget what was driven before."""
        self._mark = self._record.stat().st_size

    def driven(self) -> Driven:
        """What the motors pulled to since the mark; begins with the row before it, if there is one."""
        joints = len(self.joint_names)
        width = 1 + 3 * joints
        rows = np.frombuffer(self._record.read_bytes())
        rows = rows[: rows.size // width * width].reshape(-1, width)
        rows = rows[max(self._mark // (8 * width) - 1, 0) :]
        goal, torque, position = (rows[:, 1 + k * joints : 1 + (k + 1) * joints] for k in range(3))
        return Driven(rows[:, 0], goal, torque > 0, position)

    def goal(self) -> NDArray[np.float64]:
        """(J,) rad, where the motors pull to now."""
        return self.driven().goal[-1]

    def torque(self) -> NDArray[np.bool_]:
        """(J,) whether torque is on."""
        return self.driven().torque[-1]

    def still_for(self, seconds: float) -> bool:
        """Whether goals and torque have not changed for so long."""
        return time.monotonic() - float(self.driven().time[-1]) >= seconds

    def reset(self) -> None:
        """No faults, cool motors."""
        self.faults.replug()
        self.faults.clear()
        for joint in self.joint_names:
            self.faults.heat(joint, 34)
