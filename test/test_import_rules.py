"""Who may import whom: the packages form layers, and only nodes, conversions and topics know ROS."""

from __future__ import annotations

import ast
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

SOURCE = Path(__file__).resolve().parents[1] / "src"

_CONTRACT = {"soft_flow_contract", "soft_flow_msgs"}
MAY_IMPORT = {
    "soft_flow_contract": {"soft_flow_msgs"},
    "soft_flow_policy": _CONTRACT,
    "soft_flow_learner": _CONTRACT | {"soft_flow_policy"},
    "soft_flow_episode": _CONTRACT,
    "soft_flow_teleop": _CONTRACT,
    "soft_flow_perception": _CONTRACT,
    # The simulator offers its scripted operator as a teleoperation device.
    "soft_flow_sim": _CONTRACT | {"soft_flow_teleop"},
    "orca_hand_driver": _CONTRACT,
    "soft_flow_franka_bringup": _CONTRACT,
    # The demo and its report look at what the learner made, doctor asks a robot's parts through the code of
    # their drivers; starting imports none of these.
    "soft_flow_bringup": _CONTRACT
    | {"soft_flow_policy", "soft_flow_learner"}
    | {"orca_hand_driver", "soft_flow_franka_bringup", "soft_flow_perception"},
}
PACKAGES = sorted(MAY_IMPORT)
FOLDERS = {"soft_flow_franka_bringup": "franka_bringup"}  # of the packages that are not named as theirs
ROS = {
    "rclpy", "ament_index_python", "action_msgs", "builtin_interfaces", "diagnostic_msgs", "geometry_msgs",
    "lifecycle_msgs", "nav_msgs", "rcl_interfaces", "rosgraph_msgs", "sensor_msgs", "soft_flow_msgs",
    "std_msgs", "std_srvs", "tf2_msgs", "trajectory_msgs", "unique_identifier_msgs",
}  # fmt: skip
KNOWS_ROS = ("message_conversion.py", "topics.py")
VAGUE_NAMES = {"utils", "util", "helpers", "helper", "common", "misc"}
LONGEST_FILE = 330  # lines
SET_UP = "environment_setup"  # imported by a Python without any package


def folder(package: str) -> Path:
    return SOURCE / FOLDERS.get(package, package)


def modules(package: str) -> list[Path]:
    return sorted((folder(package) / package).rglob("*.py"))


def imported(file: Path) -> Iterator[tuple[int, str]]:
    """Yield line and first name of every import of a module, wherever it stands."""
    for node in ast.walk(ast.parse(file.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            yield from ((node.lineno, alias.name.split(".")[0]) for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.level == 0 and node.module:
            yield node.lineno, node.module.split(".")[0]


def test_every_python_package_has_its_rule() -> None:
    found = {file.parent.name for file in SOURCE.glob("*/setup.py")}
    assert found == {folder(package).name for package in PACKAGES}


@pytest.mark.parametrize("package", PACKAGES)
def test_a_package_imports_only_the_packages_below_it(package: str) -> None:
    allowed = MAY_IMPORT[package] | {package}
    wrong = [
        f"{file.relative_to(SOURCE)}:{line}: {name}"
        for file in modules(package)
        for line, name in imported(file)
        if (name.startswith("soft_flow_") or name in MAY_IMPORT) and name not in allowed
    ]
    assert wrong == []


@pytest.mark.parametrize("package", PACKAGES)
def test_only_nodes_conversions_and_topics_import_ros(package: str) -> None:
    wrong = [
        f"{file.relative_to(SOURCE)}:{line}: {name}"
        for file in modules(package)
        if not (file.name.endswith("_node.py") or file.name in KNOWS_ROS)
        for line, name in imported(file)
        if name in ROS
    ]
    assert wrong == []


@pytest.mark.parametrize("package", PACKAGES)
def test_nothing_is_pickled(package: str) -> None:
    wrong = [
        f"{file.relative_to(SOURCE)}:{line}: {name}"
        for file in modules(package)
        for line, name in imported(file)
        if name in {"pickle", "dill", "cloudpickle", "joblib", "shelve"}
    ]
    assert wrong == []


@pytest.mark.parametrize("package", PACKAGES)
def test_a_file_is_short_and_named_after_the_one_thing_that_it_holds(package: str) -> None:
    for file in modules(package):
        assert not VAGUE_NAMES.intersection(file.stem.split("_")), file
        assert len(file.read_text(encoding="utf-8").splitlines()) <= LONGEST_FILE, file


@pytest.mark.parametrize("package", PACKAGES)
def test_a_package_has_a_readme_and_tests(package: str) -> None:
    assert (folder(package) / "README.md").is_file()
    assert list((folder(package) / "test").glob("test_*.py"))


def test_what_runs_before_set_up_needs_the_standard_library_only() -> None:
    folder = SOURCE / "soft_flow_bringup" / "soft_flow_bringup"
    waiting, seen = [SET_UP, "command_line", "doctor_verb", "setup_verb", "child_process"], set()
    while waiting:
        name = waiting.pop()
        if name in seen:
            continue
        seen.add(name)
        file = folder / f"{name}.py"
        for node in ast.parse(file.read_text(encoding="utf-8")).body:  # at the top, not in functions
            if (
                isinstance(node, ast.ImportFrom)
                and node.module
                and node.module.startswith("soft_flow_bringup")
            ):
                names = (
                    [node.module.split(".")[1]]
                    if "." in node.module
                    else [alias.name for alias in node.names]
                )
                waiting += names
            elif isinstance(node, ast.ImportFrom | ast.Import):
                tops = (
                    [node.module or ""]
                    if isinstance(node, ast.ImportFrom)
                    else [alias.name for alias in node.names]
                )
                for top in tops:
                    assert top.split(".")[0] in sys.stdlib_module_names, f"{file.name}:{node.lineno}: {top}"
