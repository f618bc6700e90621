"""What launch/robot.launch.xml starts: a simulated cell, drivers on simulated hardware, or a robot."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
import yaml

from soft_flow_bringup.launch_expansion import expand
from soft_flow_bringup.process_description import ProcessDescription
from soft_flow_contract.robot_cell import RobotCell

ROOT = Path(__file__).parents[1]
ALWAYS = {"observation_node", "command_arbiter_node"}
DRIVERS = {"orca_hand_node", "fci_bridge_node"}


def started(file: str = "robot", **arguments: str) -> dict[str, ProcessDescription]:
    expansion = expand(ROOT / "launch" / f"{file}.launch.xml", arguments, os.environ)
    return {process.name: process for process in expansion.processes}


def parameters(process: ProcessDescription) -> dict[str, object]:
    """The values that it gets; later ones win."""
    values: dict[str, object] = {}
    for source in process.parameters:
        if isinstance(source, Path):
            for scope in yaml.safe_load(source.read_text(encoding="utf-8")).values():
                values |= scope["ros__parameters"]
        else:
            values |= source
    return values


def test_a_simulated_cell_has_no_drivers() -> None:
    assert set(started()) == ALWAYS | {"simulator_node"}


def test_on_simulated_hardware_the_drivers_of_a_real_cell_run() -> None:
    processes = started(robot="protocol_sim", realtime_factor="0.5")
    simulated = {"protocol_world", "servo_bus", "protocol_simulator_node"}
    assert set(processes) == ALWAYS | DRIVERS | simulated
    for name in DRIVERS:
        values = parameters(processes[name])
        assert values["time_scale"] == 2.0 and values["command_watchdog"] is True
        assert values["use_sim_time"] is True
        assert RobotCell.load(str(values["robot_file"])).name == "protocol_sim"


def test_a_real_cell_has_its_drivers_and_cameras_and_keeps_its_own_time() -> None:
    processes = started(robot="hardware")
    cameras = {"camera_wrist_palm", "camera_wrist_back", "camera_external"}
    assert set(processes) == ALWAYS | DRIVERS | cameras
    assert all(parameters(process)["use_sim_time"] is False for process in processes.values())
    assert parameters(processes["observation_node"])["robot"] == "hardware"
    assert parameters(processes["command_arbiter_node"])["drivers"] == "arm,hand"


@pytest.mark.parametrize("robot", ["protocol_sim", "hardware"])
def test_the_cell_can_be_another_file(robot: str) -> None:
    file = str(ROOT / "config" / "robots" / "panda_orca_right.yaml")
    processes = started(robot=robot, robot_file=file)
    assert all(parameters(processes[name])["robot_file"] == file for name in DRIVERS)


@pytest.mark.parametrize(("file", "needed"), [("teleop", {}), ("rollout", {"checkpoint": "c"})])
def test_episodes_of_hardware_wait_for_a_person(file: str, needed: dict[str, str]) -> None:
    values = parameters(started(file, robot="hardware", **needed)["episode_node"])
    assert values["robot"] == "hardware" and values["label"] == "manual"
    assert values["auto_start"] is False and values["lockstep"] is False
    assert "simulator_node" not in str(values["required_nodes"])


@pytest.mark.parametrize(("file", "needed"), [("teleop", {}), ("rollout", {"checkpoint": "c"})])
def test_episodes_on_simulated_hardware_run_by_themselves_in_free_running_time(
    file: str, needed: dict[str, str]
) -> None:
    values = parameters(started(file, robot="protocol_sim", **needed)["episode_node"])
    assert values["auto_start"] is True and values["lockstep"] is False
    assert str(values["required_nodes"]).startswith("protocol_simulator_node,")


@pytest.mark.parametrize("file", sorted(path.stem for path in (ROOT / "config" / "robots").glob("*.yaml")))
def test_every_cell_of_the_workspace_is_valid(file: str) -> None:
    assert RobotCell.load(ROOT / "config" / "robots" / f"{file}.yaml").name == file
