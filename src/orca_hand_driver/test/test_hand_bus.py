"""What is said to the motors, beside what orca_core would say itself."""

import time
from pathlib import Path

import numpy as np
import pytest
import yaml
from bus_process import BusProcess
from hand_graph import write_cell
from orca_core import OrcaHand

from orca_hand_driver.hand_bus import HandBus
from orca_hand_driver.hand_files import HandFiles, prepare_hand_files
from orca_hand_driver.hand_port import BusError
from soft_flow_contract.robot_cell import RobotCell


@pytest.fixture
def files(bus: BusProcess, tmp_path: Path) -> HandFiles:
    cell = write_cell(tmp_path, bus)
    bus.write_calibration(tmp_path / "hand.yaml")
    bus.mark()
    return prepare_hand_files(RobotCell.load(cell), cell)


def opened(files: HandFiles) -> HandBus:
    """A connected bus; on a busy machine a motor may answer too late at first."""
    ours, end = HandBus(files), time.monotonic() + 20.0
    while not ours.connected:
        try:
            ours.open()
        except BusError:
            assert time.monotonic() < end, "no connection"
    return ours


def test_angles_are_those_of_orca_core(bus: BusProcess, files: HandFiles) -> None:
    ours = opened(files)
    ours.energize()
    while (start := ours.read()) is None:
        pass
    assert start.position is not None
    for share in np.linspace(0, 1, 60):
        ours.write((1 - share) * start.position + share * ours.model.neutral)
        ours.read()
    end = time.monotonic() + 20.0
    while (reading := ours.read()) is None or np.abs(reading.position - ours.model.neutral).max() > 0.05:
        assert time.monotonic() < end, "the hand did not arrive"
    while (rest := ours.read()) is None or np.abs(rest.velocity).max() > 0:
        assert time.monotonic() < end, "the hand does not stand"
    goal = bus.goal()
    ours.close()  # the motors keep their torque and their goals
    theirs = OrcaHand(str(files.configuration), str(files.calibration))
    while not theirs.connect(interactive=False)[0]:
        assert time.monotonic() < end, "orca_core does not connect"
    positions = theirs.get_joint_position()
    while not theirs.last_read_ok:
        positions = theirs.get_joint_position()
    angles = np.deg2rad(positions.as_array(list(ours.model.joint_names)))
    theirs.disconnect()
    np.testing.assert_allclose(goal, ours.model.neutral, atol=0.01)
    np.testing.assert_allclose(rest.position, angles, atol=0.01)


def test_before_torque_comes_on_goals_are_set_to_where_the_motors_are(
    bus: BusProcess, files: HandFiles
) -> None:
    ours = opened(files)
    while (reading := ours.read()) is None:
        pass
    bus.mark()
    ours.energize()
    assert reading.position is not None
    driven = bus.driven()
    assert driven.torque[-1].all()
    assert np.abs(driven.goal[driven.torque.all(axis=1)] - reading.position).max() < 0.05
    ours.release()
    ours.close()


def test_targets_that_are_not_finite_are_not_sent(files: HandFiles) -> None:
    ours = opened(files)
    with pytest.raises(ValueError, match="not finite"):
        ours.write(np.full(17, np.nan))
    ours.close()


def test_a_motor_that_is_missing_is_named(bus: BusProcess, files: HandFiles) -> None:
    bus.faults.drop("thumb_abd")
    ours, error, end = HandBus(files), "", time.monotonic() + 20.0
    while "no motor answers for thumb_abd;" not in error:
        assert time.monotonic() < end, error
        with pytest.raises(BusError) as raised:
            ours.open()
        error = str(raised.value)
    assert not ours.connected


def test_a_calibration_that_found_no_stops_is_none_and_names_the_joint(files: HandFiles) -> None:
    content = yaml.safe_load(files.calibration.read_text())
    motor = 17  # of thumb_cmc
    low, _ = content["motor_limits"][motor]
    content["motor_limits"][motor] = [low, low + 0.09]
    content["joint_to_motor_ratios"][motor] = 0.09 / 78
    files.calibration.write_text(yaml.safe_dump(content))
    ours = opened(files)
    assert not ours.calibrated and "calibration of thumb_cmc found no stops" in ours.calibration_problem
    while (reading := ours.read()) is None:
        pass
    assert reading.position is None
    with pytest.raises(BusError, match="not calibrated"):
        ours.write(ours.model.neutral)
    ours.close()


def test_without_a_connection_everything_is_an_error(files: HandFiles) -> None:
    ours = HandBus(files)
    for what in (ours.read, ours.energize, ours.release, ours.temperatures, ours.faults):
        with pytest.raises(BusError, match="not connected"):
            what()
