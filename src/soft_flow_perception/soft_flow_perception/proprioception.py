"""Assembles the proprioception vector of an observation from what was measured and what was commanded."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from soft_flow_contract.action_space import ActionSpace, RobotTarget
from soft_flow_contract.errors import SpecificationError
from soft_flow_contract.pose import Pose
from soft_flow_contract.task_specification import TaskSpecification

Array = NDArray[np.float64]


@dataclass(frozen=True)
class Measured:
    """What the sensors measured: arm (7,) rad and rad/s, flange pose in base frame, hand (H,) rad."""

    arm_position: Array
    arm_velocity: Array
    flange_in_base: Pose
    hand_position: Array


@dataclass(frozen=True)
class Executed:
    """The targets after the last executed action, and that action (A,) in contract space."""

    target: RobotTarget
    action: Array


class ProprioceptionAssembler:
    """Fills the fields of a specification by their names."""

    FIELDS = frozenset(
        {
            "arm_joint_position",
            "arm_joint_velocity",
            "flange_position",
            "flange_rotation",
            "hand_joint_position",
            "arm_target_position",
            "arm_target_rotation",
            "hand_target",
            "last_action",
        }
    )

    def __init__(self, specification: TaskSpecification) -> None:
        """Check the fields.

        Raises:
            SpecificationError: the specification asks for a field that nothing here measures.
        """
        unknown = [name for name in specification.proprioception_slices if name not in self.FIELDS]
        if unknown:
            raise SpecificationError(
                f"task '{specification.task}': nothing measures the proprioception fields {unknown}; "
                f"known: {', '.join(sorted(self.FIELDS))}"
            )
        self._specification, self._space = specification, ActionSpace(specification)

    def assemble(self, measured: Measured, executed: Executed | None) -> NDArray[np.float32]:
        """The vector (P,). Without an executed action, targets are the measured values and it is to hold."""
        if executed is None:
            target = RobotTarget(measured.flange_in_base, measured.hand_position)
            executed = Executed(target, self._space.hold(measured.hand_position))
        values = {
            "arm_joint_position": measured.arm_position,
            "arm_joint_velocity": measured.arm_velocity,
            "flange_position": measured.flange_in_base.position,
            "flange_rotation": measured.flange_in_base.rotation_6d,
            "hand_joint_position": measured.hand_position,
            "arm_target_position": executed.target.flange_in_base.position,
            "arm_target_rotation": executed.target.flange_in_base.rotation_6d,
            "hand_target": executed.target.hand,
            "last_action": executed.action,
        }
        return self._specification.assemble_proprioception(values)
