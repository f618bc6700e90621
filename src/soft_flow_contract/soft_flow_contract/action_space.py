"""Contract space: actions as numbers in [-1, 1], and the targets that they stand for."""

from dataclasses import dataclass

import numpy as np

from soft_flow_contract.errors import ActionError, SpecificationError
from soft_flow_contract.pose import Pose
from soft_flow_contract.task_specification import TaskSpecification


@dataclass(frozen=True)
class RobotTarget:
    """What arm and hand are told to reach.

    Attributes:
        flange_in_base: target pose of the flange.
        hand: (H,) joint targets, rad, in the order of the specification.
    """

    flange_in_base: Pose
    hand: np.ndarray


class ActionSpace:
    """Maps contract-space actions (A,) to targets and back, as the specification scales them."""

    def __init__(self, specification: TaskSpecification) -> None:
        """Take the scaling from `specification`.

        Raises:
            SpecificationError: the task moves no arm.
        """
        joints, arm = specification.action.hand, specification.action.arm
        if arm is None:
            raise SpecificationError(
                f"task '{specification.task}' has no action.arm: it is not for this robot"
            )
        self.dimension = specification.action_dimension
        self.hand_low = np.array([joint.low for joint in joints])
        self.hand_high = np.array([joint.high for joint in joints])
        self._translation = arm.translation_scale
        self._rotation = arm.rotation_scale

    def require_valid(self, action: np.ndarray) -> np.ndarray:
        """The action as float64 (A,).

        Raises:
            ActionError: wrong shape or a value that is not finite.
        """
        action = np.asarray(action, dtype=np.float64)
        if action.shape != (self.dimension,):
            raise ActionError(f"action: expected shape ({self.dimension},), got {action.shape}")
        if not np.all(np.isfinite(action)):
            raise ActionError(
                f"action: not finite in dimensions {np.flatnonzero(~np.isfinite(action)).tolist()}"
            )
        return action

    def normalize_hand(self, hand: np.ndarray) -> np.ndarray:
        """Joint targets (rad) to [-1, 1]."""
        return 2 * (np.asarray(hand) - self.hand_low) / (self.hand_high - self.hand_low) - 1

    def hold(self, hand: np.ndarray) -> np.ndarray:
        """The action (A,) that changes nothing when the hand's targets are `hand` (rad)."""
        return np.concatenate([np.zeros(6), self.normalize_hand(hand)])

    def apply(self, current: RobotTarget, action: np.ndarray) -> RobotTarget:
        """Targets after `action` (clipped to [-1, 1]), composed onto the last commanded targets.

        Raises:
            ActionError: see `require_valid`.
        """
        action = np.clip(self.require_valid(action), -1, 1)
        flange = current.flange_in_base.moved(action[:3] * self._translation, action[3:6] * self._rotation)
        hand = self.hand_low + (action[6:] + 1) / 2 * (self.hand_high - self.hand_low)
        return RobotTarget(flange, hand)

    def between(self, current: RobotTarget, following: RobotTarget) -> np.ndarray:
        """The action (A,) that leads from `current` to `following`; inverse of `apply` within its range."""
        translation, rotation = current.flange_in_base.change_to(following.flange_in_base)
        hand = self.normalize_hand(following.hand)
        return np.concatenate([translation / self._translation, rotation / self._rotation, hand])
