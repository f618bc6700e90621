"""`doctor --robot` as a person runs it: the order of its table, what it keeps, its exit status."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
import yaml
from world_process import World, running_world

from soft_flow_bringup.finding import Verdict
from soft_flow_bringup.robot_doctor.robot_checks import RobotChecks
from soft_flow_bringup.workspace import find_workspace

PARTS = (
    "Emergency stop",
    "Robot's own stop",
    "Cell",
    "Arm",
    "Hand",
    "Camera",
    "Clock",
    "Episodes' disk",
    "DDS",
)


@pytest.fixture(scope="module")
def cell(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """A simulated arm and hand, and one camera that plays pictures."""
    folder = tmp_path_factory.mktemp("robot")
    with running_world(folder) as world, servo_bus(world):
        content = yaml.safe_load(world.cell.read_text())
        content["hand"]["calibration"] = "none.yaml"
        content["cameras"] = [
            {"name": name, "driver": "images", "source": "pictures", "width": 64, "height": 48}
            for name in ("wrist_palm", "wrist_back", "external")
        ]
        random = np.random.default_rng(0)
        (folder / "pictures").mkdir()
        for number in range(3):
            cv2.imwrite(
                str(folder / f"pictures/{number}.png"), random.integers(0, 255, (48, 64, 3), np.uint8)
            )
        file = folder / "robot.yaml"
        file.write_text(yaml.safe_dump(content))
        yield file


class servo_bus:  # noqa: N801 - a context, like running_world
    def __init__(self, world: World) -> None:
        command = [sys.executable, "-m", "soft_flow_sim.servo_bus.main", "--robot-file", str(world.cell)]
        self._process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)

    def __enter__(self) -> None:
        assert self._process.stdout is not None
        assert self._process.stdout.readline().startswith("servo bus")

    def __exit__(self, *_: object) -> None:
        self._process.terminate()
        self._process.wait(10)
        assert self._process.stdout is not None
        self._process.stdout.close()


def doctor(*options: str, home: Path) -> subprocess.CompletedProcess[str]:
    environ = {**os.environ, "SOFT_FLOW_INSIDE": str(find_workspace().root), "ROS_HOME": str(home)}
    command = [sys.executable, "-m", "soft_flow_bringup.command_line", "doctor", *options]
    return subprocess.run(command, env=environ, cwd=home, capture_output=True, text=True)


def test_all_parts_are_asked_in_their_order_and_what_was_measured_is_kept(cell: Path, tmp_path: Path) -> None:
    (tmp_path / "soft_flow").mkdir()
    (tmp_path / "soft_flow" / "emergency_stop.json").write_text('{"stopped": true, "reason": "a test"}')
    result = doctor("--robot", str(cell), "--json", "kept/measured.json", home=tmp_path)
    assert result.stderr == ""
    assert result.returncode == 1  # the emergency stop is pressed
    kept: dict[str, Any] = json.loads((tmp_path / "kept" / "measured.json").read_text())
    findings = {row["check"]: row for row in kept["findings"]}
    order = list(findings)
    first = [next(place for place, name in enumerate(order) if name.startswith(part)) for part in PARTS]
    assert first == sorted(first)
    assert order[0] == "Emergency stop"
    assert "a test" in findings["Emergency stop"]["found"]
    good = (
        "Cell",
        "Cell's cameras",
        "Arm controller",
        "Arm mode",
        "Arm joints",
        "Hand motors",
        "Hand errors",
    )
    assert {findings[name]["verdict"] for name in good} == {"ok"}
    assert findings["Hand calibration"]["verdict"] == "fault"
    assert kept["measured"]["arm"]["reading"]["mode"] == "Idle"
    assert len(kept["measured"]["hand"]["reading"]["models"]) == 17
    assert [camera["outcome"] for camera in kept["measured"]["cameras"]] == ["measured"] * 3
    assert all(row["what_to_do"] for row in kept["findings"] if row["verdict"] != "ok")
    assert "none runs" in findings["Graph"]["found"]
    assert {"emergency_stop", "graph", "cell", "realtime", "clock", "disk"} <= set(kept["measured"])


def test_of_a_cell_that_cannot_be_read_no_part_is_asked(tmp_path: Path) -> None:
    file = tmp_path / "cell.yaml"
    file.write_text("name: mine\naddress: 1.2.3.4\n")
    checks = dict(RobotChecks(file, tmp_path / "no-task.yaml", tmp_path).run())
    assert list(checks) == ["graph", "cell", "clocks", "disk"]
    cell, task = checks["cell"]()
    assert (cell.verdict, task.verdict) == (Verdict.FAULT, Verdict.FAULT)
    assert "address" in cell.detail


def test_without_a_robot_there_are_no_measurements_to_keep(tmp_path: Path) -> None:
    result = doctor("--json", "measured.json", home=tmp_path)
    assert result.returncode == 2
    assert "--robot FILE" in result.stderr


def test_before_set_up_a_robot_cannot_be_asked_and_that_is_said(
    bare_doctor: Callable[..., subprocess.CompletedProcess[str]],
) -> None:
    result = bare_doctor("--robot", "cell.yaml")
    assert result.returncode == 1, result.stderr
    assert "it cannot be asked before set-up" in result.stdout
    assert "run ./soft-flow setup" in result.stdout
