"""How the motors of an ORCA hand are geared to its joints.

Ids, signs and ranges of motion are those of orca_core's configuration. A motor turns as far between the
joint's stops as orca_core's v2.1 hands do; at which angle a motor stands when its joint is at 0 is chance
where a hand is assembled, so it is here: only a calibration finds it.
"""

from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from orca_core.hand_config import OrcaHandConfig

from soft_flow_contract.errors import ContractError
from soft_flow_contract.robot_cell import WRIST
from soft_flow_sim.servo_bus.servo_model import PULSES_PER_TURN, XC330_T288, XC430_T240BB, ServoModel

PULSES_PER_RADIAN = PULSES_PER_TURN / (2 * np.pi)
# A finger's joint has 0.35 N m at the 300 mA that orca_core allows, the wrist at most 6 N m.
_TORQUE_PER_MILLIAMPERE = 0.35 / 300
_WRIST_TORQUE = 6.0
_USUAL_TRAVEL = 3.0  # rad of a motor between stops, where orca_core knows none
_SPREAD = 0.9  # rad by which the middle of a motor's travel is off the middle of its turn


class HandError(ContractError):
    """orca_core has no such hand, or the hand does not fit the world."""


@dataclass(frozen=True)
class HandGearing:
    """A hand's motors, one for each joint and in the order of the joints.

    Attributes:
        joint_names: orca_core's.
        ranges: (J, 2) stops of the joints, rad.
        motor_ids: on the bus.
        models: of the servos.
        zero: (J,) angle of the motor when its joint is at 0, rad.
        ratio: (J,) rad of the motor for one of the joint; negative where it turns the other way.
        torque: (J,) largest torque of the motor at the joint, N m.
    """

    joint_names: tuple[str, ...]
    ranges: NDArray[np.float64]
    motor_ids: tuple[int, ...]
    models: tuple[ServoModel, ...]
    zero: NDArray[np.float64]
    ratio: NDArray[np.float64]
    torque: NDArray[np.float64]

    @classmethod
    def load(cls, version: str, model: str) -> "HandGearing":
        """The hand that orca_core calls by this version (v1, v2) and model (orcahand-right, ...).

        Raises:
            HandError: it has no such hand.
        """
        config = OrcaHandConfig.from_config_path(str(config_file(version, model)))
        names = tuple(config.joint_ids)
        ranges = np.deg2rad([config.joint_roms_dict[name] for name in names])
        span = ranges[:, 1] - ranges[:, 0]
        travel = np.array([_travel(config, name) for name in names])
        sign = np.array([-1.0 if config.joint_inversion_dict.get(name) else 1.0 for name in names])
        ratio = sign * travel / span
        chance = np.random.default_rng(len(names)).uniform(-_SPREAD, _SPREAD, len(names))
        wrist = np.array([name == WRIST for name in names])
        return cls(
            names,
            ranges,
            tuple(config.joint_to_motor_map[name] for name in names),
            tuple(XC430_T240BB if name == WRIST else XC330_T288 for name in names),
            np.pi + chance - ratio * ranges.mean(axis=1),
            ratio,
            np.where(wrist, _WRIST_TORQUE, _TORQUE_PER_MILLIAMPERE * XC330_T288.full_load),
        )

    def to_pulses(self, joint_position: NDArray[np.float64]) -> NDArray[np.float64]:
        """Joint angles, rad, to positions of the motors, pulses."""
        return (self.zero + self.ratio * joint_position) * PULSES_PER_RADIAN

    def to_joints(self, pulses: NDArray[np.float64]) -> NDArray[np.float64]:
        """Positions of the motors, pulses, to joint angles, rad."""
        return (pulses / PULSES_PER_RADIAN - self.zero) / self.ratio

    def motor_of(self, joint: str) -> int:
        """The id of a joint's motor.

        Raises:
            HandError: the hand has no such joint.
        """
        if joint not in self.joint_names:
            raise HandError(f"the hand has no joint '{joint}'; it has: {', '.join(self.joint_names)}")
        return self.motor_ids[self.joint_names.index(joint)]


def _travel(config: OrcaHandConfig, joint: str) -> float:
    degrees = config.expected_motor_travel_deg(joint, any_hardware=True)
    return float(np.deg2rad(degrees)) if degrees else _USUAL_TRAVEL


def config_file(version: str, model: str) -> Path:
    """Where orca_core keeps the configuration of a hand.

    Raises:
        HandError: it has none of this name.
    """
    spec = find_spec("orca_core")
    assert spec is not None and spec.origin is not None
    models = Path(spec.origin).parent / "models"
    path = models / version / model / "config.yaml"
    if not path.is_file():
        known = sorted(
            f"{file.parent.parent.name} {file.parent.name}" for file in models.glob("*/*/config.yaml")
        )
        raise HandError(f"orca_core has no hand '{version} {model}'; it has: {', '.join(known)}")
    return path
