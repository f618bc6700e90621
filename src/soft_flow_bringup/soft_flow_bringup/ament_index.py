"""Find packages and their programs on the ament prefix path, without importing ROS."""

from __future__ import annotations

import difflib
import os
from collections.abc import Mapping
from pathlib import Path


class PackageNotFoundError(LookupError):
    """No prefix on AMENT_PREFIX_PATH holds the package or the program; the text says what there is."""


def _prefixes(environ: Mapping[str, str]) -> list[Path]:
    return [Path(entry) for entry in environ.get("AMENT_PREFIX_PATH", "").split(os.pathsep) if entry]


_MARKERS = Path("share/ament_index/resource_index/packages")


def find_package_prefix(package: str, environ: Mapping[str, str]) -> Path:
    """Return the prefix that a package is installed in; the first one on AMENT_PREFIX_PATH wins.

    Raises:
        PackageNotFoundError: naming the nearest known package.
    """
    prefixes = _prefixes(environ)
    for prefix in prefixes:
        if (prefix / _MARKERS / package).is_file():
            return prefix
    known = sorted({marker.name for prefix in prefixes for marker in (prefix / _MARKERS).glob("*")})
    near = difflib.get_close_matches(package, known, n=1)
    hint = f"Did you mean {near[0]!r}?" if near else f"There are {len(known)} packages on AMENT_PREFIX_PATH."
    raise PackageNotFoundError(
        f"package {package!r} is not installed. {hint} Build it with ./soft-flow setup."
    )


def find_package_share(package: str, environ: Mapping[str, str]) -> Path:
    """Return a package's share folder.

    Raises:
        PackageNotFoundError: the package is not installed.
    """
    return find_package_prefix(package, environ) / "share" / package


def find_program(package: str, program: str, environ: Mapping[str, str]) -> Path:
    """Return the executable `program` of a package (in its lib/PACKAGE folder).

    Raises:
        PackageNotFoundError: the package is not installed or has no such program.
    """
    folder = find_package_prefix(package, environ) / "lib" / package
    file = folder / program
    if file.is_file() and os.access(file, os.X_OK):
        return file
    known = sorted(item.name for item in folder.glob("*") if item.is_file() and os.access(item, os.X_OK))
    raise PackageNotFoundError(
        f"package {package!r} has no executable {program!r}; it has: {', '.join(known) or 'none'}"
    )
