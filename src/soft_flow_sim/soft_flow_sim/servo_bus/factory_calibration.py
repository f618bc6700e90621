"""The calibration of the simulated hand, as if it had been calibrated before it came to the cell.

`hand/calibrate` finds the same by driving every joint against its stops, which takes minutes.
"""

from pathlib import Path
from typing import Any

import numpy as np
import yaml

from soft_flow_contract.durable_files import write_durably
from soft_flow_contract.robot_cell import WRIST
from soft_flow_sim.servo_bus.hand_gearing import HandGearing


def factory_calibration(gearing: HandGearing, without: tuple[str, ...] = ()) -> dict[str, Any]:
    """What orca_core's calibration would write: ends of every motor's travel (rad), and rad for one degree.

    Args:
        gearing: of the hand.
        without: joints that are left uncalibrated.
    """
    ends = gearing.zero[:, None] + gearing.ratio[:, None] * gearing.ranges
    spans = np.ptp(np.rad2deg(gearing.ranges), axis=1)
    limits: dict[int, list[float | None]] = {}
    ratios: dict[int, float] = {}
    for joint, motor, pair, span in zip(gearing.joint_names, gearing.motor_ids, ends, spans, strict=True):
        known = joint not in without
        limits[motor] = [float(pair.min()), float(pair.max())] if known else [None, None]
        ratios[motor] = float(np.ptp(pair) / span) if known else 0.0
    return {
        "motor_limits": limits,
        "joint_to_motor_ratios": ratios,
        "calibrated": not without,
        "wrist_calibrated": WRIST not in without,
    }


def write_factory_calibration(path: Path, version: str, model: str) -> None:
    """Write the calibration of a simulated hand where there is none yet."""
    if not path.exists():
        path.parent.mkdir(parents=True, exist_ok=True)
        text = yaml.safe_dump(factory_calibration(HandGearing.load(version, model)))
        write_durably(path, text.encode())
