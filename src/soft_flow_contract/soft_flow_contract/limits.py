"""Safety clamps as composable pure objects: each takes the last and the next target, returns a safe one."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

import numpy as np

from soft_flow_contract.action_space import ActionSpace, RobotTarget
from soft_flow_contract.pose import Pose
from soft_flow_contract.robot_cell import RobotCell
from soft_flow_contract.task_specification import TaskSpecification


class Limit(Protocol):
    """A clamp on targets."""

    def clamp(self, current: RobotTarget, following: RobotTarget, measured: Pose) -> RobotTarget:
        """A target that keeps the limit, as near to `following` as the limit allows.

        Args:
            current: targets commanded at the last tick.
            following: targets proposed for this tick.
            measured: measured flange pose in base frame.
        """
        ...


def _shortened(vector: np.ndarray, longest: float) -> np.ndarray:
    length = float(np.linalg.norm(vector))
    return vector if length <= longest else vector * (longest / length)


@dataclass(frozen=True)
class FlangeStepLimit:
    """Bounds translation (m) and rotation (rad) of the flange target in one tick."""

    max_translation: float
    max_rotation: float

    def clamp(self, current: RobotTarget, following: RobotTarget, measured: Pose) -> RobotTarget:
        """See `Limit.clamp`."""
        translation, rotation = current.flange_in_base.change_to(following.flange_in_base)
        if (
            np.linalg.norm(translation) <= self.max_translation
            and np.linalg.norm(rotation) <= self.max_rotation
        ):
            return following
        pose = current.flange_in_base.moved(
            _shortened(translation, self.max_translation), _shortened(rotation, self.max_rotation)
        )
        return RobotTarget(pose, following.hand)


@dataclass(frozen=True)
class WorkspaceLimit:
    """Keeps the flange target in a box of the base frame (m)."""

    low: np.ndarray
    high: np.ndarray

    def clamp(self, current: RobotTarget, following: RobotTarget, measured: Pose) -> RobotTarget:
        """See `Limit.clamp`."""
        position = np.clip(following.flange_in_base.position, self.low, self.high)
        return RobotTarget(Pose(position, following.flange_in_base.quaternion), following.hand)


@dataclass(frozen=True)
class TargetLeadLimit:
    """Keeps the flange target within a distance (m) of the measured flange: a blocked arm is not wound up."""

    max_lead: float

    def clamp(self, current: RobotTarget, following: RobotTarget, measured: Pose) -> RobotTarget:
        """See `Limit.clamp`."""
        lead = _shortened(following.flange_in_base.position - measured.position, self.max_lead)
        pose = Pose(measured.position + lead, following.flange_in_base.quaternion)
        return RobotTarget(pose, following.hand)


@dataclass(frozen=True)
class HandLimit:
    """Keeps hand targets in their range and bounds their change in one tick (rad; of each, or of all)."""

    low: np.ndarray
    high: np.ndarray
    max_step: float | np.ndarray

    def clamp(self, current: RobotTarget, following: RobotTarget, measured: Pose) -> RobotTarget:
        """See `Limit.clamp`."""
        hand = np.clip(following.hand, current.hand - self.max_step, current.hand + self.max_step)
        return RobotTarget(following.flange_in_base, np.clip(hand, self.low, self.high))


@dataclass(frozen=True)
class SafeAction:
    """What a proposed action became.

    Attributes:
        target: the targets to command.
        executed: (A,) contract-space action that leads to `target`; this is what data must record.
        clamped: whether any limit changed the proposal.
    """

    target: RobotTarget
    executed: np.ndarray
    clamped: bool


class ActionLimiter:
    """Turns proposed actions into safe targets: scaling, then every limit in order."""

    def __init__(self, space: ActionSpace, limits: Sequence[Limit]) -> None:
        """Apply `limits` in order on top of `space`."""
        self.space = space
        self.limits = tuple(limits)

    @classmethod
    def from_specification(
        cls, specification: TaskSpecification, cell: RobotCell | None = None
    ) -> "ActionLimiter":
        """The limits of a task specification, and of the drivers of a cell.

        A target that a driver follows only after the tick would be the robot's motion after the commands'
        end, and not what is recorded as executed.
        """
        space, bounds, dt = ActionSpace(specification), specification.limits, specification.dt
        translation, rotation = bounds.max_translation, bounds.max_rotation
        hand: float | np.ndarray = bounds.max_hand_step
        if cell is not None:
            translation = min(translation, cell.arm.max_speed * dt)
            rotation = min(rotation, cell.arm.max_turn * dt)
            hand = np.minimum(hand, cell.hand.joint_speeds(specification.hand_joint_names) * dt)
        return cls(
            space,
            (
                FlangeStepLimit(translation, rotation),
                TargetLeadLimit(bounds.max_target_lead),
                WorkspaceLimit(np.array(bounds.workspace_low), np.array(bounds.workspace_high)),
                HandLimit(space.hand_low, space.hand_high, hand),
            ),
        )

    def apply(self, current: RobotTarget, action: np.ndarray, measured: Pose) -> SafeAction:
        """Safe targets for `action` (A,) in contract space.

        Raises:
            ActionError: wrong shape, or a value that is not finite; nothing may be sent then.
        """
        proposed = self.space.apply(current, action)
        target = proposed
        for limit in self.limits:
            target = limit.clamp(current, target, measured)
        executed = self.space.between(current, target)
        clamped = not np.allclose(executed, action, atol=1e-6)
        return SafeAction(target, executed, clamped)
