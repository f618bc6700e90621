"""Find out which Debian packages the machine lacks, and install them where that is allowed.

Only the standard library is imported here: set-up runs before anything is installed.
"""

from __future__ import annotations

import ctypes
import importlib.util
import os
import shutil
import subprocess
import sys
import sysconfig
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True)
class SystemNeed:
    """Something that pip cannot install: the Debian package, what it is for, how to see that it is there."""

    package: str
    purpose: str
    present: Callable[[], bool]


def _has_program(*names: str) -> Callable[[], bool]:
    return lambda: any(shutil.which(name) for name in names)


def _has_library(name: str) -> Callable[[], bool]:
    def present() -> bool:
        try:
            ctypes.CDLL(name)
        except OSError:
            return False
        return True

    return present


def _has_mesa_drivers() -> bool:
    folders = ["/usr/lib/x86_64-linux-gnu", "/usr/lib/aarch64-linux-gnu", "/usr/lib64", "/usr/lib"]
    patterns = ["dri/swrast_dri.so", "libgallium*.so", "libGLX_nvidia.so.0", "libEGL_nvidia.so.0"]
    return any(any(Path(folder).glob(pattern)) for folder in folders for pattern in patterns)


def _has_venv_module() -> bool:
    return all(importlib.util.find_spec(name) for name in ("venv", "ensurepip"))


def _has_python_headers() -> bool:
    return (Path(sysconfig.get_path("include")) / "Python.h").is_file()


def system_needs() -> list[SystemNeed]:
    """Return what set-up needs from the system, in the order in which it is needed."""
    # Debian's own interpreter needs these two; others (uv, pyenv, conda) bring them.
    python = f"python{sys.version_info.major}.{sys.version_info.minor}"
    return [
        SystemNeed(f"{python}-venv", "the virtual environment", _has_venv_module),
        SystemNeed(f"{python}-dev", "building the message package (Python.h)", _has_python_headers),
        SystemNeed("cmake", "building the message package", _has_program("cmake")),
        SystemNeed("make", "building the message package", _has_program("make")),
        SystemNeed("gcc", "building the message package", _has_program("gcc", "cc")),
        SystemNeed("g++", "building the message package", _has_program("g++", "c++")),
        SystemNeed("libegl1", "rendering without a display", _has_library("libEGL.so.1")),
        SystemNeed("libegl-mesa0", "rendering without a display", _has_egl_vendor),
        SystemNeed("libgl1", "rendering", _has_library("libGL.so.1")),
        SystemNeed("libopengl0", "rendering", _has_library("libOpenGL.so.0")),
        SystemNeed("libgl1-mesa-dri", "rendering in software", _has_mesa_drivers),
    ]


def _has_egl_vendor() -> bool:
    return _has_library("libEGL_mesa.so.0")() or _has_library("libEGL_nvidia.so.0")()


def missing_packages(needs: list[SystemNeed]) -> list[SystemNeed]:
    """Return the needs that this machine does not meet."""
    return [need for need in needs if not need.present()]


def apt_line(needs: list[SystemNeed], as_root: bool) -> str:
    """Return the one shell line that installs the packages of these needs."""
    prefix = "" if as_root else "sudo "
    names = " ".join(need.package for need in needs)
    return f"{prefix}apt-get update && {prefix}apt-get install -y --no-install-recommends {names}"


class MissingSystemPackagesError(RuntimeError):
    """The machine lacks packages that only its administrator can install."""


def ensure_system_packages(run: Callable[[str, list[str]], None]) -> bool:
    """Install missing Debian packages as root; for anyone else raise with the line to run.

    Args:
        run: runs a command under a title, raising when it fails.

    Returns:
        Whether anything had to be installed.

    Raises:
        MissingSystemPackagesError: something is missing and cannot be installed from here.
    """
    missing = missing_packages(system_needs())
    if not missing:
        return False
    as_root = os.geteuid() == 0
    if as_root and shutil.which("apt-get"):
        try:
            run(
                "System packages",
                ["bash", "-c", "export DEBIAN_FRONTEND=noninteractive; " + apt_line(missing, True)],
            )
        except subprocess.CalledProcessError as error:
            raise MissingSystemPackagesError(_explanation(missing, as_root)) from error
        missing = missing_packages(missing)
    if missing:
        raise MissingSystemPackagesError(_explanation(missing, as_root))
    return True


def _explanation(missing: list[SystemNeed], as_root: bool) -> str:
    lines = [f"  {need.package}: {need.purpose}" for need in missing]
    return "\n".join(
        [
            "This machine lacks:",
            *lines,
            "Install it (Debian, Ubuntu), then start again:",
            f"  {apt_line(missing, as_root)}",
        ]
    )
