"""What is measured of the computer: emergency stop latch, real time, clock, disk."""

import json
import os
import resource
import shutil
import subprocess
from pathlib import Path
from typing import Literal

from soft_flow_bringup.robot_doctor.probe_process import run_probe
from soft_flow_contract.strict_model import StrictModel

_COMMAND_LIMIT = 5.0  # s
_DISK_LIMIT = 15.0  # s
_MEBIBYTES = 64  # written as a test


class LatchMeasured(StrictModel):
    """The emergency stop's file: `absent` is a stop that was never pressed."""

    path: str
    state: Literal["absent", "released", "engaged", "broken"]
    reason: str = ""


class RealtimeMeasured(StrictModel):
    """What a real-time client needs of the computer.

    Attributes:
        kernel: as uname says.
        preempt_rt: whether it is a PREEMPT_RT kernel.
        priority: largest real-time priority that this user may give a thread; 0: none.
        locked_memory: bytes that this user may lock; -1: all.
        governors: of the processors' frequency, with how many have each; empty: the kernel sets none.
    """

    kernel: str
    preempt_rt: bool
    priority: int
    locked_memory: int
    governors: dict[str, int]


class ClockMeasured(StrictModel):
    """Whether the computer's clock follows others: None where nobody says.

    Attributes:
        synchronized: as systemd's timedatectl or chrony say.
        offset_ms: of the system's clock from NTP, as chrony estimates it.
        source: who said so.
    """

    synchronized: bool | None
    offset_ms: float | None = None
    source: str = ""


class DiskMeasured(StrictModel):
    """The disk below the folder of episodes: bytes that are free, MiB/s with fsync (0: see problem)."""

    folder: str
    free: int
    speed: float = 0.0
    problem: str = ""


def latch_file() -> Path:
    """Where command_arbiter_node keeps the emergency stop unless its `latch_file` says otherwise."""
    return Path(os.environ.get("ROS_HOME") or Path.home() / ".ros") / "soft_flow" / "emergency_stop.json"


def read_latch(path: Path) -> LatchMeasured:
    """Read the latch as the arbiter does: what cannot be read counts as pressed."""
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
        stopped, reason = content["stopped"], str(content["reason"])
        if not isinstance(stopped, bool):
            raise TypeError("'stopped' is not true or false")
    except FileNotFoundError:
        return LatchMeasured(path=str(path), state="absent")
    except (OSError, ValueError, KeyError, TypeError) as error:
        return LatchMeasured(path=str(path), state="broken", reason=str(error))
    return LatchMeasured(path=str(path), state="engaged" if stopped else "released", reason=reason)


def measure_realtime(sys_folder: Path = Path("/sys")) -> RealtimeMeasured:
    """Look at kernel, limits and governors."""
    governors: dict[str, int] = {}
    for file in sys_folder.glob("devices/system/cpu/cpu[0-9]*/cpufreq/scaling_governor"):
        name = _text(file)
        governors[name] = governors.get(name, 0) + 1
    locked = resource.getrlimit(resource.RLIMIT_MEMLOCK)[1]
    priority = resource.getrlimit(resource.RLIMIT_RTPRIO)[1]
    return RealtimeMeasured(
        kernel=os.uname().release,
        preempt_rt=_text(sys_folder / "kernel" / "realtime") == "1",
        priority=99 if priority == resource.RLIM_INFINITY or os.geteuid() == 0 else priority,
        locked_memory=-1 if locked == resource.RLIM_INFINITY else locked,
        governors=governors,
    )


def _text(file: Path) -> str:
    try:
        return file.read_text(encoding="ascii").strip()
    except OSError:
        return ""


def measure_clock() -> ClockMeasured:
    """Ask chrony, else systemd."""
    tracking = _output(["chronyc", "-c", "tracking"])
    if tracking:
        return chrony_said(tracking)
    return systemd_said(_output(["timedatectl", "show"]))


def chrony_said(tracking: str) -> ClockMeasured:
    """Read `chronyc -c tracking`: the fifth value is the offset (s), the last one the leap status."""
    fields = tracking.strip().split(",")
    try:
        offset, synchronized = float(fields[4]), fields[-1] != "Not synchronised"
    except (IndexError, ValueError):
        return ClockMeasured(synchronized=None, source="chrony")
    return ClockMeasured(synchronized=synchronized, offset_ms=round(offset * 1e3, 3), source="chrony")


def systemd_said(properties: str) -> ClockMeasured:
    """Read `timedatectl show`: NAME=VALUE lines."""
    values = dict(line.split("=", 1) for line in properties.splitlines() if "=" in line)
    if "NTPSynchronized" not in values:
        return ClockMeasured(synchronized=None)
    return ClockMeasured(synchronized=values["NTPSynchronized"] == "yes", source="timedatectl")


def _output(command: list[str]) -> str:
    """What a program prints; empty if there is none, or it fails."""
    if shutil.which(command[0]) is None:
        return ""
    try:
        result = subprocess.run(command, capture_output=True, text=True, timeout=_COMMAND_LIMIT)
    except (OSError, subprocess.TimeoutExpired):
        return ""
    return result.stdout if result.returncode == 0 else ""


def measure_disk(folder: Path, mebibytes: int = _MEBIBYTES) -> DiskMeasured:
    """Write to the folder, or to the nearest one above it that exists, and take it away again."""
    there = folder.expanduser().absolute()
    while not there.is_dir():
        there = there.parent
    free = shutil.disk_usage(there).free
    if free < 2 * mebibytes * 2**20:
        return DiskMeasured(folder=str(there), free=free, problem="too full to be tried")
    module = "soft_flow_bringup.robot_doctor.disk_probe"
    answer = run_probe(module, [str(there), str(mebibytes)], _DISK_LIMIT)
    told = answer.measured or {"problem": answer.problem}
    return DiskMeasured.model_validate({"folder": str(there), "free": free, **told})
