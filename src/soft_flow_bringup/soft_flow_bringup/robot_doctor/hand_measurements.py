"""What is measured of a hand: its port, its motors, its calibration."""

import json
import os
from pathlib import Path
from typing import Any, Literal

import yaml

from orca_hand_driver.hand_files import hands_folder, models_folder
from soft_flow_bringup.robot_doctor.probe_process import run_probe
from soft_flow_bringup.robot_doctor.spread import Spread
from soft_flow_contract.errors import SpecificationError
from soft_flow_contract.robot_cell import RobotCell, resolve
from soft_flow_contract.strict_model import StrictModel

_PROBE_LIMIT = 25.0  # s
_USB_SERIAL = Path("/sys/bus/usb-serial/devices")

Outcome = Literal["measured", "running", "no_port", "no_permission", "in_use", "failed"]


class HandReading(StrictModel):
    """What the motors answered; keys are motors' ids.

    Attributes:
        models: model number of every motor that answered a ping.
        sweeps: round trips of reads of all these motors at once.
        failed_sweeps: how many of them brought no complete answer.
        hardware_errors: register 70, bits as in Robotis' manual.
        temperatures: degrees Celsius.
        voltages: of the supply, V.
        voltage_limits: lowest and highest that a motor takes, V.
        return_delay: longest wait of a motor before it answers, microseconds.
    """

    models: dict[int, int]
    sweeps: Spread | None
    failed_sweeps: int
    hardware_errors: dict[int, int]
    temperatures: dict[int, int]
    voltages: dict[int, float]
    voltage_limits: dict[int, tuple[float, float]]
    return_delay: int


class HandCalibration(StrictModel):
    """The calibration file.

    Attributes:
        path: where it is looked for.
        state: whether it is there and of use.
        uncalibrated: joints that it does not know.
    """

    path: str
    state: Literal["complete", "incomplete", "missing", "broken"]
    uncalibrated: tuple[str, ...] = ()


class HandMeasured(StrictModel):
    """What came of asking the hand.

    Attributes:
        port: as the cell says; device is where it leads.
        baudrate: bits/s.
        latency_timer: ms that a USB adapter waits for more bytes; None if the port has no such thing.
        joints: joint of every motor that the hand should have, by id.
        outcome: whether it was measured, and else why not: "running" is a driver that has it.
        problem: in words; empty when it was measured.
        reading: when it was measured.
    """

    port: str
    device: str
    baudrate: int
    latency_timer: int | None
    joints: dict[int, str]
    calibration: HandCalibration
    outcome: Outcome
    problem: str = ""
    reading: HandReading | None = None


def motors_of(version: str, model: str) -> dict[int, str]:
    """Joint by motor id, of one of orca_core's hands.

    Raises:
        SpecificationError: orca_core has no such hand.
    """
    file = models_folder() / version / model / "config.yaml"
    try:
        content = yaml.safe_load(file.read_text(encoding="utf-8"))
    except OSError as error:
        raise SpecificationError(f"orca_core has no hand {version} {model} ({file})") from error
    # A negative id is a motor that turns the other way.
    return {abs(motor): joint for joint, motor in content["joint_to_motor_map"].items()}


def latency_timer(device: str, folder: Path = _USB_SERIAL) -> int | None:
    """How long a USB serial adapter holds bytes back in case more come, ms; None: it does not."""
    try:
        return int((folder / Path(device).name / "latency_timer").read_text(encoding="ascii"))
    except (OSError, ValueError):
        return None


def read_calibration(path: Path, joints: dict[int, str]) -> HandCalibration:
    """Look at a calibration as orca_core writes it: the ends of every motor's travel."""
    if not path.exists():
        return HandCalibration(path=str(path), state="missing")
    try:
        limits = yaml.safe_load(path.read_text(encoding="utf-8"))["motor_limits"]
        known = {abs(int(motor)) for motor, ends in limits.items() if None not in ends}
    except (OSError, yaml.YAMLError, KeyError, TypeError, ValueError, AttributeError):
        return HandCalibration(path=str(path), state="broken")
    unknown = tuple(joint for motor, joint in joints.items() if motor not in known)
    return HandCalibration(
        path=str(path), state="incomplete" if unknown else "complete", uncalibrated=unknown
    )


def measure_hand(cell: RobotCell, robot_file: Path, running: bool = False) -> HandMeasured:
    """Ask every motor of the cell's hand; nothing moves.

    Args:
        cell: names port, baud rate and model.
        robot_file: its file.
        running: a driver has the port: it is left alone.

    Raises:
        SpecificationError: orca_core does not know the hand.
    """
    hand = cell.hand
    port, joints = resolve(hand.port, robot_file), motors_of(hand.version, hand.model)
    device = os.path.realpath(port)
    calibration = (
        resolve(hand.calibration, robot_file) if hand.calibration else hands_folder() / f"{cell.name}.yaml"
    )
    told: dict[str, Any]
    if running:
        told = {"outcome": "running"}
    elif not port.exists():
        told = {"outcome": "no_port"}
    elif not os.access(port, os.R_OK | os.W_OK):
        told = {"outcome": "no_permission"}
    else:
        told = _ask(port, hand.baudrate, joints)
    return HandMeasured.model_validate(
        {
            "port": str(port),
            "device": device,
            "baudrate": hand.baudrate,
            "latency_timer": latency_timer(device),
            "joints": joints,
            "calibration": read_calibration(calibration, joints),
            **told,
        }
    )


def _ask(port: Path, baudrate: int, joints: dict[int, str]) -> dict[str, Any]:
    arguments = [str(port), str(baudrate), json.dumps(sorted(joints))]
    answer = run_probe("soft_flow_bringup.robot_doctor.hand_probe", arguments, _PROBE_LIMIT)
    return answer.measured or {"outcome": "failed", "problem": answer.problem}
