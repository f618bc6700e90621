"""A hand's files: orca_core's configuration, copied out of its package and pinned, and the calibration."""

import importlib.util
import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from soft_flow_contract.durable_files import write_durably
from soft_flow_contract.errors import SpecificationError
from soft_flow_contract.robot_cell import HandConfiguration, RobotCell, resolve

_CALIBRATION_CURRENT = 300  # mA; what orca_core takes for Dynamixel motors if its configuration names none


@dataclass(frozen=True)
class HandFiles:
    """Where a hand's configuration and calibration are, and where its motors answer."""

    configuration: Path
    calibration: Path
    port: Path
    baudrate: int


def hands_folder() -> Path:
    """`soft_flow/hands` in ROS's own folder of the user (ROS_HOME, else ~/.ros)."""
    return Path(os.environ.get("ROS_HOME") or Path.home() / ".ros") / "soft_flow" / "hands"


def models_folder() -> Path:
    """orca_core's models.

    Raises:
        SpecificationError: orca_core is not installed.
    """
    found = importlib.util.find_spec("orca_core")
    if found is None or found.origin is None:
        raise SpecificationError("orca_core is not installed; run ./soft-flow setup")
    return Path(found.origin).parent / "models"


def prepare_hand_files(cell: RobotCell, robot_file: str | Path) -> HandFiles:
    """Write the configuration that orca_core is to read; nothing is ever written into its package.

    Whatever orca_core would look for by itself is pinned: port, baud rate, motor family and current limit. A
    `local_config.yaml` beside the configuration (`hardware_version: 21`) is orca_core's own override.

    Raises:
        SpecificationError: the model is unknown, or the folder cannot be written.
    """
    hand, folder = cell.hand, hands_folder()
    port = resolve(hand.port, robot_file)
    configuration = folder / cell.name / "config.yaml"
    calibration = resolve(hand.calibration, robot_file) if hand.calibration else folder / f"{cell.name}.yaml"
    content = yaml.safe_dump(_pinned(_model_configuration(hand, cell.name), hand, port), sort_keys=False)
    try:
        configuration.parent.mkdir(parents=True, exist_ok=True)
        calibration.parent.mkdir(parents=True, exist_ok=True)
        write_durably(configuration, content.encode())
    except OSError as error:
        raise SpecificationError(
            f"{error.filename}: cannot be written ({error.strerror}); set ROS_HOME to a folder of yours"
        ) from error
    return HandFiles(configuration, calibration, port, hand.baudrate)


def _model_configuration(hand: HandConfiguration, cell: str) -> dict[str, Any]:
    models = models_folder()
    file = models / hand.version / hand.model / "config.yaml"
    if not file.is_file():
        known = sorted(
            f"{path.parent.parent.name} {path.parent.name}" for path in models.glob("*/*/config.yaml")
        )
        raise SpecificationError(
            f"cell '{cell}': orca_core has no hand {hand.version} {hand.model}; it has: {', '.join(known)}"
        )
    return dict(yaml.safe_load(file.read_text(encoding="utf-8")))


def _pinned(model: Mapping[str, Any], hand: HandConfiguration, port: Path) -> dict[str, Any]:
    pinned = {
        **model,
        "port": str(port),
        "baudrate": hand.baudrate,
        "motor_type": "dynamixel",
        "max_current": hand.max_current,
    }
    # orca_core refuses a limit below the current that it calibrates with, so that one is lowered as well.
    for key in ("calibration_current", "wrist_calibration_current"):
        wanted = model.get(key)
        if wanted is not None:
            current = wanted if isinstance(wanted, int | float) else _CALIBRATION_CURRENT
            pinned[key] = min(int(current), hand.max_current)
    return pinned
