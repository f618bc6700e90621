"""Set-up does what is due, and says what it cannot do."""

from __future__ import annotations

import io
import os
import subprocess
import sys
from pathlib import Path

import pytest

from soft_flow_bringup import environment_setup
from soft_flow_bringup.debian_packages import SystemNeed, apt_line, missing_packages, system_needs
from soft_flow_bringup.environment_setup import SetupError, check_interpreter, stale_parts, without_installed
from soft_flow_bringup.fingerprint import build_fingerprint, environment_fingerprint
from soft_flow_bringup.logged_steps import LoggedSteps
from soft_flow_bringup.wheel_paths import correct_wheel_paths
from soft_flow_bringup.workspace import Workspace, find_workspace, native_ros_prefix


@pytest.fixture
def checkout(tmp_path: Path) -> Workspace:
    """A small checkout with one package."""
    root = tmp_path / "checkout"
    for name, text in {
        "soft-flow": "",
        "constraints.txt": "a==1\n",
        "requirements/ros-wheels.txt": "r\n",
        "requirements/python.txt": "a\n",
        "requirements/development.txt": "d\n",
        "src/p/package.xml": "<package/>",
        "src/p/p/module.py": "x = 1",
        "src/p/msg/M.msg": "bool b",
        "launch/a.launch.xml": "<launch/>",
        "config/a.yaml": "a: 1",
    }.items():
        file = root / name
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(text, encoding="utf-8")
    return Workspace(root)


def finish(workspace: Workspace) -> None:
    """Leave behind what a completed set-up leaves behind."""
    workspace.python.parent.mkdir(parents=True)
    workspace.python.touch()
    (workspace.environment / "pyvenv.cfg").write_text("version = 3.11.7\n", encoding="utf-8")
    environment_setup.environment_stamp(workspace).write_text(
        environment_fingerprint(workspace, None, "3.11")
    )
    workspace.install.mkdir()
    environment_setup.build_stamp(workspace).write_text(build_fingerprint(workspace))


def test_everything_is_due_in_a_fresh_checkout_and_nothing_after_set_up(checkout: Workspace) -> None:
    assert stale_parts(checkout, {}) == ["environment", "build"]
    finish(checkout)
    assert stale_parts(checkout, {}) == []


@pytest.mark.parametrize(
    ("file", "due"),
    [
        ("constraints.txt", ["environment"]),
        ("requirements/python.txt", ["environment"]),
        ("src/p/package.xml", ["build"]),
        ("src/p/msg/M.msg", ["build"]),
        ("launch/new.launch.xml", ["build"]),
        ("config/tasks/new.yaml", ["build"]),
        ("launch/a.launch.xml", []),  # linked, so an edit acts at once
        ("src/p/p/module.py", []),
        ("src/p/p/new_module.py", []),
    ],
)
def test_an_edit_makes_due_what_depends_on_it(checkout: Workspace, file: str, due: list[str]) -> None:
    finish(checkout)
    (checkout.root / file).parent.mkdir(exist_ok=True)
    (checkout.root / file).write_text("edited", encoding="utf-8")
    assert stale_parts(checkout, {}) == due


def test_sourcing_a_native_ros_makes_the_environment_due(checkout: Workspace, tmp_path: Path) -> None:
    finish(checkout)
    marker = tmp_path / "jazzy/share/rclpy/package.xml"
    marker.parent.mkdir(parents=True)
    marker.touch()
    assert stale_parts(checkout, {"AMENT_PREFIX_PATH": str(tmp_path / "jazzy")}) == ["environment"]


def test_the_wheels_and_the_workspace_itself_are_no_native_ros(checkout: Workspace) -> None:
    marker = checkout.environment / "share/rclpy/package.xml"
    marker.parent.mkdir(parents=True)
    marker.touch()
    path = f"{checkout.install}/p:{checkout.environment}:"
    assert native_ros_prefix({"AMENT_PREFIX_PATH": path}, checkout) is None


def test_native_set_up_leaves_out_the_wheels_of_ros(checkout: Workspace) -> None:
    native = {file.name for file in checkout.requirement_lists(native=True)}
    assert {file.name for file in checkout.requirement_lists(native=False)} - native == {"ros-wheels.txt"}


def test_native_set_up_keeps_the_versions_that_the_system_has() -> None:
    kept = without_installed('# all\nPyTest==0.1\nnot-there==2.0; python_version < "4"\npy_yaml_no==1\n')
    assert kept == '# all\nnot-there==2.0; python_version < "4"\npy_yaml_no==1\n'


def test_an_unsuitable_python_is_refused_with_what_to_do(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(environment_setup, "SUPPORTED_PYTHON", ((2, 6), (2, 7)))
    with pytest.raises(SetupError, match=r"needs Python 2\.6 to 2\.7.*SOFT_FLOW_PYTHON"):
        check_interpreter(native=None)


def test_a_native_ros_that_lacks_packages_is_refused_with_the_line_that_installs_them(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("AMENT_PREFIX_PATH", str(tmp_path))
    monkeypatch.setenv("ROS_DISTRO", "jazzy")
    with pytest.raises(
        SetupError, match="apt-get install -y ros-jazzy-ament-cmake .*ros-jazzy-domain-coordinator"
    ):
        check_interpreter(native=tmp_path)


def test_the_script_refuses_an_unsuitable_python_by_name() -> None:
    script = find_workspace().root / "soft-flow"
    environ = {**os.environ, "SOFT_FLOW_PYTHON": "/bin/false"}
    result = subprocess.run([script, "-h"], env=environ, capture_output=True, text=True)
    assert result.returncode == 1
    assert "needs Python 3.10 to 3.13; found /bin/false" in result.stderr


def test_missing_system_packages_are_named_in_one_line() -> None:
    needs = [
        SystemNeed("here", "", lambda: True),
        SystemNeed("b", "", lambda: False),
        SystemNeed("a", "", lambda: False),
    ]
    missing = missing_packages(needs)
    line = "sudo apt-get update && sudo apt-get install -y --no-install-recommends b a"
    assert apt_line(missing, as_root=False) == line
    assert apt_line(missing, as_root=True) == line.replace("sudo ", "")


def test_this_machine_has_what_set_up_needs() -> None:
    assert [need.package for need in missing_packages(system_needs())] == []


def test_paths_of_the_build_machine_are_corrected_once(tmp_path: Path) -> None:
    file = tmp_path / "share/a/cmake/aExport.cmake"
    file.parent.mkdir(parents=True)
    old = "/opt/python/cp312-cp312"
    file.write_text(
        f"{old}/include/python3.12;{old}/lib/python3.12/site-packages/numpy/_core/include;/opt/python"
    )
    assert correct_wheel_paths(tmp_path, "/headers", "/numpy\\1") == [file]
    assert file.read_text() == "/headers;/numpy\\1;/opt/python"
    assert correct_wheel_paths(tmp_path, "/headers", "/numpy\\1") == []


def test_a_step_that_fails_shows_its_last_lines_and_keeps_the_log(tmp_path: Path) -> None:
    out = io.StringIO()
    steps = LoggedSteps(tmp_path / "log/setup.log", 2, out)
    steps.run("First", [sys.executable, "-c", "print('fine')"])
    with pytest.raises(subprocess.CalledProcessError) as failure:
        steps.run("Second", [sys.executable, "-c", "print('the reason'); raise SystemExit(3)"])
    assert failure.value.returncode == 3
    assert "the reason" in failure.value.output
    assert "[1/2] First: done" in out.getvalue()
    assert "[2/2] Second: failed" in out.getvalue()
    assert "fine" in (tmp_path / "log/setup.log").read_text()
