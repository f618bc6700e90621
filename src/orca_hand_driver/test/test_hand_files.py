"""What orca_core is to read lies outside its package, with everything pinned that it would look for."""

import dataclasses
from pathlib import Path

import pytest
import yaml
from hand_graph import CELL

from orca_hand_driver.hand_bus import HandBus
from orca_hand_driver.hand_files import models_folder, prepare_hand_files
from orca_hand_driver.hand_port import BusError
from soft_flow_contract.errors import SpecificationError
from soft_flow_contract.robot_cell import RobotCell

HANDS = [
    (path.parent.parent.name, path.parent.name) for path in sorted(models_folder().glob("*/*/config.yaml"))
]


def cell_with(**hand: object) -> RobotCell:
    data = yaml.safe_load(CELL.read_text())
    data["hand"] |= {"calibration": "", **hand}
    return RobotCell.from_mapping(data, "cell")


def test_port_family_rate_and_current_are_pinned_outside_of_the_package(ros_home: Path) -> None:
    before = sorted(models_folder().rglob("*"))
    files = prepare_hand_files(cell_with(port="/dev/hand", max_current=250), CELL)
    assert files.configuration == ros_home / "soft_flow" / "hands" / "protocol_sim" / "config.yaml"
    assert files.calibration == ros_home / "soft_flow" / "hands" / "protocol_sim.yaml"
    content = yaml.safe_load(files.configuration.read_text())
    pinned = content["port"], content["baudrate"], content["motor_type"]
    assert pinned == ("/dev/hand", 3000000, "dynamixel")
    assert content["max_current"] == content["calibration_current"] == 250
    assert len(content["joint_ids"]) == 17
    HandBus(files)  # orca_core takes it
    assert sorted(models_folder().rglob("*")) == before


def test_a_calibration_of_the_cell_lies_beside_its_file(tmp_path: Path) -> None:
    files = prepare_hand_files(cell_with(calibration="mine.yaml"), tmp_path / "cell.yaml")
    assert files.calibration == tmp_path / "mine.yaml"


def test_an_unknown_hand_is_refused_with_those_that_there_are() -> None:
    with pytest.raises(SpecificationError, match="no hand v2 orcahand-third; it has: v1 orcahand-left, "):
        prepare_hand_files(cell_with(model="orcahand-third"), CELL)


@pytest.mark.parametrize(("version", "model"), HANDS)
def test_every_hand_of_orca_core_is_taken(version: str, model: str) -> None:
    bus = HandBus(prepare_hand_files(cell_with(version=version, model=model, max_current=200), CELL))
    assert len(bus.model.joint_names) == 17 and "wrist" in bus.model.joint_names
    assert (bus.model.low < bus.model.high).all()
    assert (bus.model.neutral >= bus.model.low).all() and (bus.model.neutral <= bus.model.high).all()


def test_a_broken_calibration_is_an_error_that_names_the_file(tmp_path: Path) -> None:
    files = prepare_hand_files(cell_with(calibration="broken.yaml"), tmp_path / "cell.yaml")
    files.calibration.write_text("motor_limits: [1, 2")
    with pytest.raises(BusError, match="broken.yaml"):
        HandBus(dataclasses.replace(files))
