"""The versions that a run's figures depend on."""

import os
import platform
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

PACKAGES = (
    "torch",
    "onnxruntime",
    "mujoco",
    "numpy",
    "rosbags",
    "ros-jazzy-rclpy",
    "ros-jazzy-rmw-fastrtps-cpp",
)


def processor() -> str:
    """Name of the processor, as far as the system tells."""
    path = Path("/proc/cpuinfo")
    lines = path.read_text(encoding="utf-8").splitlines() if path.exists() else []
    name = next((line.split(":", 1)[1].strip() for line in lines if line.startswith("model name")), "")
    return name or platform.processor() or platform.machine()


def versions() -> dict[str, str]:
    """Name -> version of the platform and the packages that are installed."""
    found = {
        "system": platform.platform(),
        "processor": f"{processor()}, {os.cpu_count()} cores",
        "Python": platform.python_version(),
        "ROS 2": os.environ.get("ROS_DISTRO", "jazzy, from wheels"),
    }
    for name in PACKAGES:
        try:
            found[name] = version(name)
        except PackageNotFoundError:  # native ROS 2 is not a Python package
            continue
    return found
