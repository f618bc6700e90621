"""Where things lie in this workspace, and which ROS 2 it stands on.

Only the standard library is imported here: set-up runs before anything is installed.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True)
class Workspace:
    """The folders of a checkout. `root` holds the `soft-flow` script."""

    root: Path

    @property
    def environment(self) -> Path:
        """The virtual environment."""
        return self.root / ".venv"

    @property
    def python(self) -> Path:
        """The interpreter of the virtual environment."""
        return self.environment / "bin" / "python"

    @property
    def install(self) -> Path:
        """Where colcon puts the built packages."""
        return self.root / "install"

    @property
    def source(self) -> Path:
        """The packages."""
        return self.root / "src"

    @property
    def wheel_packages(self) -> Path:
        """Packages that every native ROS 2 has, for ROS 2 from wheels."""
        return self.root / "wheel_packages"

    @property
    def log(self) -> Path:
        """Logs of set-up (and colcon's own)."""
        return self.root / "log"

    @property
    def constraints(self) -> Path:
        """Every version, pinned."""
        return self.root / "constraints.txt"

    def requirement_lists(self, native: bool) -> list[Path]:
        """Return the lists to install; ROS 2 itself only where none is sourced."""
        names = ["python", "development"] if native else ["ros-wheels", "python", "development"]
        return [self.root / "requirements" / f"{name}.txt" for name in names]


def find_workspace(start: Path | None = None) -> Workspace:
    """Return the workspace that this file, or `start`, lies in.

    Raises:
        FileNotFoundError: no parent folder holds a `soft-flow` script.
    """
    # With `colcon build` (no symlinks) this file lies in install/, still below the root.
    here = (start or Path(__file__)).resolve()
    for folder in [here, *here.parents]:
        if (folder / "soft-flow").is_file() and (folder / "src").is_dir():
            return Workspace(folder)
    raise FileNotFoundError(
        f"No workspace above {here}: expected a parent folder with `soft-flow` and `src/`. "
        "Run the `soft-flow` script of a checkout."
    )


def native_ros_prefix(environ: Mapping[str, str], workspace: Workspace) -> Path | None:
    """Return the prefix of a sourced ROS 2 installation, or None where the wheels are to be used.

    The virtual environment and the workspace's own packages stand on the same search path; they do not count.
    """
    for entry in environ.get("AMENT_PREFIX_PATH", "").split(os.pathsep):
        prefix = Path(entry)
        if not entry or workspace.root in [prefix, *prefix.parents]:
            continue
        if (prefix / "share" / "rclpy" / "package.xml").is_file():
            return prefix
    return None
