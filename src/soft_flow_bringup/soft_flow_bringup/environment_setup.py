"""Make everything that the workspace needs: system packages, virtual environment, build.

Every step is skipped when its result is there and current, so that set-up can be repeated, and resumed after
an interruption. Only the standard library is imported here: set-up runs before anything is installed.
"""

from __future__ import annotations

import fcntl
import importlib.metadata
import json
import os
import platform
import re
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

from soft_flow_bringup import wheel_paths
from soft_flow_bringup.ament_index import PackageNotFoundError, find_package_prefix
from soft_flow_bringup.debian_packages import ensure_system_packages
from soft_flow_bringup.fingerprint import build_fingerprint, environment_fingerprint, is_current
from soft_flow_bringup.logged_steps import LoggedSteps
from soft_flow_bringup.workspace import Workspace, native_ros_prefix

SUPPORTED_PYTHON = ((3, 10), (3, 13))
_MACHINE = "x86_64"  # the ROS 2 wheels exist for no other
_STEPS = 4
_NATIVE_PACKAGES = (
    "ament_cmake",
    "rosidl_default_generators",
    "diagnostic_msgs",
    "domain_coordinator",
    "geometry_msgs",
    "rosgraph_msgs",
    "sensor_msgs",
    "std_msgs",
    "std_srvs",
)


class SetupError(RuntimeError):
    """Set-up cannot go on; the text says why and what to do."""


def environment_stamp(workspace: Workspace) -> Path:
    """Return the file that says what the virtual environment was made from."""
    return workspace.environment / "soft-flow-environment"


def build_stamp(workspace: Workspace) -> Path:
    """Return the file that says what the last successful build was made from."""
    return workspace.install / ".soft-flow-build"


def stale_parts(workspace: Workspace, environ: Mapping[str, str]) -> list[str]:
    """Return which of 'environment' and 'build' are missing or out of date."""
    native = native_ros_prefix(environ, workspace)
    stale = []
    fingerprint = environment_fingerprint(workspace, native, _recorded_python(workspace))
    if not (workspace.python.exists() and is_current(environment_stamp(workspace), fingerprint)):
        stale.append("environment")
    if not is_current(build_stamp(workspace), build_fingerprint(workspace)):
        stale.append("build")
    return stale


def _recorded_python(workspace: Workspace) -> str:
    """Return the Python version that the environment was made with ('' where there is none)."""
    file = workspace.environment / "pyvenv.cfg"
    if not file.is_file():
        return ""
    match = re.search(r"^version\s*=\s*(\d+\.\d+)", file.read_text(encoding="utf-8"), re.MULTILINE)
    return match[1] if match else ""


def set_up(workspace: Workspace, environ: Mapping[str, str], rebuild: bool = False) -> None:
    """Bring the environment and the build up to date.

    Args:
        workspace: the checkout.
        environ: the caller's environment; a ROS 2 sourced in it is used.
        rebuild: build the packages even if they are current.

    Raises:
        SetupError: a step failed.
        MissingSystemPackagesError: the administrator has to install something first.
    """
    with _one_at_a_time(workspace):
        native = native_ros_prefix(environ, workspace)
        check_interpreter(native)
        steps = LoggedSteps(workspace.log / "setup.log", _STEPS)
        try:
            if not ensure_system_packages(steps.run):
                steps.note("System packages", "complete")
            _make_environment(workspace, environ, native, steps)
            _build(workspace, environ, native, steps, rebuild)
        except subprocess.CalledProcessError as error:
            raise SetupError(
                f"{error.output}\n\nThe whole log is in {steps.log}. Start again to resume."
            ) from error


@contextmanager
def _one_at_a_time(workspace: Workspace) -> Iterator[None]:
    """Let a second set-up of the same checkout wait for the first."""
    folder = os.open(workspace.root, os.O_RDONLY)
    try:
        fcntl.flock(folder, fcntl.LOCK_EX)
        yield
    finally:
        os.close(folder)


def check_interpreter(native: Path | None) -> None:
    """Refuse an interpreter or machine for which ROS 2 cannot be had.

    Raises:
        SetupError: naming what was found, what is needed, and what to do.
    """
    low, high = SUPPORTED_PYTHON
    found = f"Python {platform.python_version()} ({sys.executable}) on {platform.machine()}"
    if not low <= sys.version_info[:2] <= high:
        raise SetupError(
            f"{found}: needs Python {low[0]}.{low[1]} to {high[0]}.{high[1]}. Install one, or name it: "
            "SOFT_FLOW_PYTHON=/path/to/python3.12 ./soft-flow setup"
        )
    if native:
        _check_native_packages()
        if subprocess.run([sys.executable, "-c", "import rclpy"], capture_output=True).returncode:
            raise SetupError(
                f"{found} cannot import rclpy of the sourced ROS 2 in {native}: set SOFT_FLOW_PYTHON to the "
                "interpreter that it was built for (/usr/bin/python3), or a shell where no ROS 2 is sourced."
            )
    elif platform.machine() != _MACHINE or sys.platform != "linux":
        raise SetupError(
            f"{found}: the ROS 2 wheels are for x86-64 Linux. Install ROS 2 Jazzy and source it first."
        )


def _check_native_packages() -> None:
    missing = []
    for package in _NATIVE_PACKAGES:
        try:
            find_package_prefix(package, os.environ)
        except PackageNotFoundError:
            missing.append(package)
    if missing:
        names = " ".join(
            f"ros-{os.environ.get('ROS_DISTRO', 'jazzy')}-{name.replace('_', '-')}" for name in missing
        )
        raise SetupError(f"The sourced ROS 2 lacks packages. Install them: sudo apt-get install -y {names}")


def _make_environment(
    workspace: Workspace, environ: Mapping[str, str], native: Path | None, steps: LoggedSteps
) -> None:
    python = f"{sys.version_info.major}.{sys.version_info.minor}"
    fingerprint = environment_fingerprint(workspace, native, python)
    stamp = environment_stamp(workspace)
    if workspace.python.exists() and is_current(stamp, fingerprint):
        steps.note("Virtual environment", "current")
        steps.note("Python packages", "current")
        return
    stamp.unlink(missing_ok=True)
    if not _suits(workspace, native, python):
        if workspace.environment.exists():
            shutil.rmtree(workspace.environment)
        options = ["--system-site-packages"] if native else []
        steps.run("Virtual environment", [_base_python(), "-m", "venv", *options, str(workspace.environment)])
    else:
        steps.note("Virtual environment", "already there")
    _install_packages(workspace, environ, native, steps)
    if native is None:
        correct_environment(workspace)
    stamp.write_text(fingerprint + "\n", encoding="utf-8")


def _base_python() -> str:
    """Return the interpreter itself, also when we run in the environment that is to be made."""
    return getattr(sys, "_base_executable", None) or sys.executable


def _suits(workspace: Workspace, native: Path | None, python: str) -> bool:
    """Return whether the environment that is there was made by this Python and for this way of having ROS."""
    file = workspace.environment / "pyvenv.cfg"
    if not (file.is_file() and workspace.python.exists() and _recorded_python(workspace) == python):
        return False
    shares_system = "include-system-site-packages = true" in file.read_text(encoding="utf-8")
    return shares_system == (native is not None)


def _install_packages(
    workspace: Workspace, environ: Mapping[str, str], native: Path | None, steps: LoggedSteps
) -> None:
    with tempfile.TemporaryDirectory() as folder:
        constraints = Path(folder) / "constraints.txt"
        pins = workspace.constraints.read_text(encoding="utf-8")
        constraints.write_text(without_installed(pins) if native else pins, encoding="utf-8")
        command = [str(workspace.python), "-m", "pip", "install", "--progress-bar", "off", "--no-compile"]
        command += ["--disable-pip-version-check", "--no-input", "-c", str(constraints)]
        for file in workspace.requirement_lists(native is not None):
            command += ["-r", str(file)]
        steps.run("Python packages", command, environ)


def without_installed(constraints: str) -> str:
    """Return the constraints without those of packages that the system's Python already has.

    With a native ROS 2 the system's versions are kept, unless a requirement excludes them.
    """
    present = {
        _normal_name(distribution.metadata["Name"])
        for distribution in importlib.metadata.distributions()
        if distribution.metadata["Name"]
    }
    lines = constraints.splitlines(keepends=True)
    return "".join(
        line for line in lines if _normal_name(re.split(r"[=;\s]", line, maxsplit=1)[0]) not in present
    )


def _normal_name(name: str) -> str:
    return re.sub(r"[-_.]+", "-", name).lower()


def correct_environment(workspace: Workspace) -> None:
    """Correct the header paths of the ROS 2 wheels in the environment."""
    program = (
        "import json, numpy, sysconfig; "
        "print(json.dumps([sysconfig.get_path('include'), numpy.get_include()]))"
    )
    answer = subprocess.run(
        [str(workspace.python), "-c", program], capture_output=True, text=True, check=True
    )
    wheel_paths.correct_wheel_paths(workspace.environment, *json.loads(answer.stdout))


def _build(
    workspace: Workspace, environ: Mapping[str, str], native: Path | None, steps: LoggedSteps, rebuild: bool
) -> None:
    fingerprint = build_fingerprint(workspace)
    stamp = build_stamp(workspace)
    if not rebuild and is_current(stamp, fingerprint):
        steps.note("Packages of this workspace", "current")
        return
    stamp.unlink(missing_ok=True)
    # A native colcon belongs to the system's Python; run by ours, what it installs finds our packages.
    colcon = 'python -c "import sys; from colcon_core.command import main; sys.exit(main())"'
    folders = "src" if native else f"src {workspace.wheel_packages.name}"
    script = f". ./env.bash && exec {colcon} build --base-paths {folders} --event-handlers console_cohesion+"
    steps.run(
        "Packages of this workspace", ["bash", "-c", f"cd {_quoted(workspace.root)} && {script}"], environ
    )
    stamp.write_text(fingerprint + "\n", encoding="utf-8")


def _quoted(path: Path) -> str:
    return "'" + str(path).replace("'", "'\\''") + "'"
