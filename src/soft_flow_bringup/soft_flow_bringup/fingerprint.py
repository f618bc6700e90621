"""Tell whether set-up is current: a hash of everything that went into it.

Only the standard library is imported here: set-up runs before anything is installed.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable
from pathlib import Path

from soft_flow_bringup.workspace import Workspace

_BUILD_FILES = {"package.xml", "setup.py", "setup.cfg", "CMakeLists.txt"}
_INTERFACES = {".msg", ".srv", ".action"}
_NO_SOURCE = {"__pycache__", ".pytest_cache", ".hypothesis"}


def _hash(parts: Iterable[bytes]) -> str:
    digest = hashlib.sha256()
    for part in parts:
        digest.update(len(part).to_bytes(8, "little"))
        digest.update(part)
    return digest.hexdigest()


def environment_fingerprint(workspace: Workspace, native: Path | None, python_version: str) -> str:
    """Return the hash of what the virtual environment is made from: lists, constraints, Python, ROS."""
    files = [workspace.constraints, *workspace.requirement_lists(native is not None)]
    ros = f"native {native}" if native else "wheels"
    texts = [ros, python_version, *(file.read_text(encoding="utf-8") for file in files)]
    return _hash(text.encode() for text in texts)


def build_fingerprint(workspace: Workspace) -> str:
    """Return the hash of what a build depends on.

    That is the content of build files and interfaces, and the names (not the content: it is linked) of all
    files that are installed as data.
    """
    parts: list[bytes] = []
    for file in sorted([*workspace.source.rglob("*"), *workspace.wheel_packages.rglob("*")]):
        relative = file.relative_to(workspace.root)
        if not file.is_file() or _NO_SOURCE.intersection(relative.parts) or ".egg-info" in str(relative):
            continue
        if file.name in _BUILD_FILES or file.suffix in _INTERFACES:
            parts += [str(relative).encode(), file.read_bytes()]
        elif file.suffix != ".py" and "test" not in relative.parts:
            parts.append(str(relative).encode())
    for folder in (workspace.root / "launch", workspace.root / "config"):
        parts += [
            str(file.relative_to(workspace.root)).encode()
            for file in sorted(folder.rglob("*"))
            if file.is_file()
        ]
    return _hash(parts)


def is_current(stamp: Path, fingerprint: str) -> bool:
    """Return whether `stamp` says that the thing was made from this fingerprint."""
    return stamp.is_file() and stamp.read_text(encoding="utf-8").strip() == fingerprint
