"""Correct the build-machine paths that the ROS 2 wheels carry in their exported CMake files.

The wheels were built in a container, and their CMake exports name that container's Python and NumPy headers
(`/opt/python/cp311-cp311/...`). A package that generates Python bindings for its messages compiles against
exactly these paths, so they have to become those of the environment that the wheels were installed in.

Only the standard library is imported here: set-up runs before anything is installed.
"""

from __future__ import annotations

import re
from pathlib import Path

_PYTHON_HEADERS = re.compile(r"/opt/python/cp3\d+-cp3\d+/include/python3\.\d+")
_NUMPY_HEADERS = re.compile(r"/opt/python/cp3\d+-cp3\d+/lib/python3\.\d+/site-packages/numpy/_?core/include")


def corrected_text(text: str, python_headers: str, numpy_headers: str) -> str:
    """Return a CMake export with the build machine's header folders replaced by the given ones."""
    text = _PYTHON_HEADERS.sub(lambda _: python_headers, text)
    return _NUMPY_HEADERS.sub(lambda _: numpy_headers, text)


def correct_wheel_paths(environment: Path, python_headers: str, numpy_headers: str) -> list[Path]:
    """Rewrite the CMake exports below `environment`/share; files already right are left untouched.

    Args:
        environment: root of the virtual environment that holds the wheels.
        python_headers: folder of `Python.h` of the environment's interpreter.
        numpy_headers: NumPy's header folder in the environment.

    Returns:
        The files that were rewritten, in name order; empty on a second run.
    """
    rewritten = []
    for file in sorted((environment / "share").glob("**/cmake/*.cmake")):
        text = file.read_text(encoding="utf-8")
        corrected = corrected_text(text, python_headers, numpy_headers)
        if corrected != text:
            file.write_text(corrected, encoding="utf-8")
            rewritten.append(file)
    return rewritten
