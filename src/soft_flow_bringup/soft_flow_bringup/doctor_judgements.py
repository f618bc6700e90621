"""Judge what `doctor` measured: pure functions from a measurement to a finding."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from soft_flow_bringup.environment_setup import SUPPORTED_PYTHON
from soft_flow_bringup.finding import Finding, fault, good, note

GIB = 2**30
_SETUP = "run ./soft-flow setup"


@dataclass(frozen=True)
class ProbeResult:
    """What a program that tries something out came to: exit status and what it printed."""

    status: int
    output: str

    @property
    def last_line(self) -> str:
        """The last line printed, '' if there is none."""
        lines = self.output.strip().splitlines()
        return lines[-1] if lines else ""

    @property
    def lacks_packages(self) -> bool:
        """Whether it could not begin for want of a Python package."""
        return self.status != 0 and self.last_line.startswith("ModuleNotFoundError")


def judge_python(version: tuple[int, int], executable: str) -> Finding:
    """Judge the interpreter."""
    low, high = SUPPORTED_PYTHON
    detail = f"{version[0]}.{version[1]} ({executable})"
    if low <= version <= high:
        return good("Python", detail)
    remedy = (
        f"install Python {low[0]}.{low[1]} to {high[0]}.{high[1]}, "
        "then SOFT_FLOW_PYTHON=/path/to/it ./soft-flow setup"
    )
    return fault("Python", detail, remedy)


def judge_ros(native: Path | None, probe: ProbeResult) -> Finding:
    """Judge ROS 2: `probe` imported rclpy and printed the rmw implementation."""
    way = f"native, {native}" if native else "wheels"
    if probe.status == 0:
        return good("ROS 2", f"{way}, {probe.last_line}")
    remedy = f"repair or reinstall the ROS 2 in {native}, and source its setup.bash" if native else _SETUP
    return fault("ROS 2", f"{way}, rclpy does not import: {probe.last_line}", remedy)


def judge_workspace(stale: Sequence[str], probe: ProbeResult) -> Finding:
    """Judge the workspace: `probe` imported the built messages."""
    if stale:
        return fault("Workspace", f"{' and '.join(stale)} missing or out of date", _SETUP)
    if probe.status:
        return fault(
            "Workspace", f"soft_flow_msgs does not import: {probe.last_line}", "./soft-flow setup --rebuild"
        )
    return good("Workspace", "built and current")


def judge_rendering(probes: Mapping[str, ProbeResult]) -> Finding:
    """Judge rendering: each probe rendered a frame with one backend, in order of preference."""
    for backend, probe in probes.items():
        if probe.status == 0:
            return good("Rendering", f"{backend}: {probe.last_line}")
    tried = "; ".join(f"{backend}: {probe.last_line}" for backend, probe in probes.items())
    if all(probe.lacks_packages for probe in probes.values()):
        return fault("Rendering", "MuJoCo is not installed", _SETUP)
    packages = "libegl1 libegl-mesa0 libgl1 libopengl0 libgl1-mesa-dri"
    return fault("Rendering", f"no backend renders a frame ({tried})", f"sudo apt-get install {packages}")


def judge_cores(count: int) -> Finding:
    """Judge the number of processor cores that may be used."""
    if count >= 2:
        return good("Cores", str(count))
    return note("Cores", str(count), "the graph wants 2; expect collection below real time")


def judge_memory(available: int) -> Finding:
    """Judge the memory that is free, in bytes."""
    detail = f"{available / GIB:.1f} GiB available"
    if available >= 4 * GIB:
        return good("Memory", detail)
    if available >= 2 * GIB:
        return note(
            "Memory", detail, "training wants 4 GiB: close other programs, or use fewer demonstrations"
        )
    return fault("Memory", detail, "at least 2 GiB have to be free: close other programs")


def judge_disk(free: int) -> Finding:
    """Judge the disk space of the checkout, in bytes."""
    detail = f"{free / GIB:.1f} GiB free"
    if free >= 5 * GIB:
        return good("Disk", detail)
    if free >= GIB:
        return note(
            "Disk", detail, "120 recorded episodes take about 1 GiB: remove old folders in runs/ or log/"
        )
    return fault("Disk", detail, "free at least 1 GiB: remove old folders in runs/ or log/")


def judge_shared_memory(total: int | None) -> Finding:
    """Judge /dev/shm, which Fast DDS passes images through, in bytes (None: there is none)."""
    if total is None:
        return note("Shared memory", "no /dev/shm", "Fast DDS falls back to UDP; mount a tmpfs on /dev/shm")
    detail = f"{total / 2**20:.0f} MiB in /dev/shm"
    if total >= 60 * 2**20:
        return good("Shared memory", detail)
    return note("Shared memory", detail, "give a container more: docker run --shm-size=256m")


def judge_discovery(probe: ProbeResult) -> Finding:
    """Judge DDS: `probe` sent a message from one process to another."""
    if probe.status == 0:
        return good("DDS discovery", probe.last_line)
    if probe.lacks_packages:
        return fault("DDS discovery", "ROS 2 is not installed", _SETUP)
    remedy = (
        "let the loopback interface multicast (sudo ip link set lo multicast on), allow UDP 7400-7700 in the "
        "firewall, unset ROS_DISCOVERY_SERVER and FASTRTPS_DEFAULT_PROFILES_FILE"
    )
    return fault("DDS discovery", probe.last_line or "no answer", remedy)


def judge_devices(subject: str, access: Mapping[str, bool], group: str) -> Finding:
    """Judge device files: `access` says for each whether this user may read and write it."""
    if not access:
        return good(subject, "none connected")
    closed = [name for name, allowed in access.items() if not allowed]
    if closed:
        remedy = f"sudo usermod -aG {group} $USER, then log in again"
        return note(subject, f"no permission for {', '.join(closed)}", remedy)
    return good(subject, ", ".join(access))
