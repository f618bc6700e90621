"""Every version that set-up installs is pinned in constraints.txt."""

from __future__ import annotations

import importlib.metadata
import os
import re

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

from soft_flow_bringup.workspace import find_workspace, native_ros_prefix

WORKSPACE = find_workspace()


def read(text: str) -> list[Requirement]:
    lines = (line.split("#")[0].strip() for line in text.splitlines())
    return [Requirement(line) for line in lines if line]


def pins() -> dict[str, str]:
    """The version of each package, for the Python that runs this."""
    chosen = {}
    for requirement in read(WORKSPACE.constraints.read_text(encoding="utf-8")):
        if requirement.marker is None or requirement.marker.evaluate():
            name = canonicalize_name(requirement.name)
            assert name not in chosen, f"{name} is pinned twice"
            chosen[name] = str(requirement.specifier).removeprefix("==")
    return chosen


def wanted() -> list[Requirement]:
    files = WORKSPACE.requirement_lists(native=False)
    requirements = [line for file in files for line in read(file.read_text(encoding="utf-8"))]
    return [line for line in requirements if line.marker is None or line.marker.evaluate()]


def test_every_constraint_is_one_exact_version() -> None:
    for line in WORKSPACE.constraints.read_text(encoding="utf-8").splitlines():
        assert line.startswith("#") or re.fullmatch(
            r'[a-z0-9-]+==[0-9][^ ;]*(; python_version (<|>=) "3\.1[13]")?', line
        ), line


def test_every_requirement_is_pinned_within_its_own_limits() -> None:
    pinned = pins()
    for requirement in wanted():
        version = pinned.get(canonicalize_name(requirement.name))
        assert version, f"{requirement.name} has no version in constraints.txt"
        assert requirement.specifier.contains(version, prereleases=True), (
            f"{requirement}: pinned to {version}"
        )


@pytest.mark.skipif(
    native_ros_prefix(os.environ, WORKSPACE) is not None, reason="a native ROS 2 keeps the system's versions"
)
def test_everything_that_the_requirements_pull_in_is_pinned_and_installed_as_pinned() -> None:
    pinned, seen, queue = pins(), set(), wanted()
    while queue:
        requirement = queue.pop()
        name = canonicalize_name(requirement.name)
        if name in seen or (requirement.marker and not requirement.marker.evaluate({"extra": ""})):
            continue
        seen.add(name)
        distribution = importlib.metadata.distribution(name)
        assert name in pinned, f"{name} is installed but not pinned in constraints.txt"
        assert distribution.version.split("+")[0] == pinned[name], name
        queue += [Requirement(text) for text in distribution.requires or []]
    assert len(seen) > 100
