"""Measure what `doctor` judges: start the probes, look at the machine. Standard library only."""

from __future__ import annotations

import importlib.util
import os
import shutil
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path

from soft_flow_bringup.doctor_judgements import ProbeResult
from soft_flow_bringup.launch_verb import own_domain

_TIME_LIMIT = 60.0  # seconds for one probe
_RCLPY = "import rclpy; print(rclpy.get_rmw_implementation_identifier())"
_MESSAGES = "import soft_flow_msgs.msg; soft_flow_msgs.msg.Observation()"


def probe(arguments: list[str], changes: Mapping[str, str] | None = None) -> ProbeResult:
    """Run a Python program in a process of its own."""
    environ = {**os.environ, **(changes or {})}
    try:
        result = subprocess.run(
            [sys.executable, *arguments],
            env=environ, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
            text=True, timeout=_TIME_LIMIT,
        )  # fmt: skip
    except subprocess.TimeoutExpired:
        return ProbeResult(124, f"no answer within {_TIME_LIMIT:.0f} s")
    return ProbeResult(result.returncode, result.stdout)


def probe_ros() -> ProbeResult:
    """Import rclpy and ask for the rmw implementation."""
    return probe(["-c", _RCLPY])


def probe_messages() -> ProbeResult:
    """Import the built message package."""
    return probe(["-c", _MESSAGES])


def probe_rendering() -> dict[str, ProbeResult]:
    """Render a frame with each backend in order of preference, until one does."""
    results: dict[str, ProbeResult] = {}
    for backend in ("egl", "osmesa"):
        results[backend] = probe(["-m", "soft_flow_bringup.rendering_probe"], {"MUJOCO_GL": backend})
        if results[backend].status == 0:
            break
    return results


def probe_discovery() -> ProbeResult:
    """Let one process talk to another over DDS, in a free domain."""
    if importlib.util.find_spec("domain_coordinator") is None:
        return ProbeResult(1, "ModuleNotFoundError: No module named 'domain_coordinator'")
    program = ["-m", "soft_flow_bringup.discovery_probe_node"]
    with own_domain(os.environ) as domain:
        talker = subprocess.Popen(
            [sys.executable, *program, "talk"],
            env={**os.environ, **domain},
            stdin=subprocess.PIPE, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
        )  # fmt: skip
        try:
            return probe([*program, "listen"], domain)
        finally:
            talker.communicate(timeout=_TIME_LIMIT)


def available_memory() -> int:
    """Return the bytes that programs may still use."""
    for line in Path("/proc/meminfo").read_text(encoding="ascii").splitlines():
        if line.startswith("MemAvailable:"):
            return int(line.split()[1]) * 1024
    return os.sysconf("SC_AVPHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")


def shared_memory() -> int | None:
    """Return the size of /dev/shm in bytes."""
    return shutil.disk_usage("/dev/shm").total if Path("/dev/shm").is_dir() else None


def device_access(*patterns: str) -> dict[str, bool]:
    """Return, for each device file of these patterns in /dev, whether this user may read and write it."""
    files = sorted(file for pattern in patterns for file in Path("/dev").glob(pattern))
    return {str(file): os.access(file, os.R_OK | os.W_OK) for file in files}
