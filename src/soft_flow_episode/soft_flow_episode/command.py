"""What is proposed to the arbiter, and the commands that it makes of it."""

from dataclasses import dataclass
from enum import IntEnum

import numpy as np

from soft_flow_contract.action_space import RobotTarget


class Mode(IntEnum):
    """Who commands; the values of ArbiterState.MODE_*."""

    HOLD = 0
    POLICY = 1
    TELEOP = 2
    START = 3


class Source(IntEnum):
    """Where an executed action came from; the values of ExecutedAction.SOURCE_*."""

    HOLD = 0
    POLICY = 1
    TELEOP = 2
    SCRIPTED = 3
    START = 4


@dataclass(frozen=True)
class OperatorAction:
    """An action of a teleoperation device for the tick `stamp_ns`; `values` (A,) in contract space."""

    stamp_ns: int
    values: np.ndarray
    deadman: bool
    scripted: bool


@dataclass(frozen=True)
class Command:
    """What to send at tick `stamp_ns`, and how it came about.

    Attributes:
        target: flange target in base frame and hand targets (rad).
        executed: (A,) contract-space action that leads to `target`, after every clamp.
        proposed: (A,) as proposed; None when held.
        missed: whether an action was due and there was no valid one.
        reason: why it was held; empty otherwise.
    """

    stamp_ns: int
    target: RobotTarget
    executed: np.ndarray
    proposed: np.ndarray | None = None
    source: Source = Source.HOLD
    epoch: int = 0
    chunk_id: int = 0
    chunk_step: int = 0
    policy_version: int = 0
    clamped: bool = False
    missed: bool = False
    reason: str = ""

    @property
    def held(self) -> bool:
        """Whether the last target was kept."""
        return self.proposed is None


@dataclass(frozen=True)
class Wish:
    """An action to play, before any clamp; or, without values, a hold and its reason."""

    values: np.ndarray | None = None
    source: Source = Source.HOLD
    chunk_id: int = 0
    chunk_step: int = 0
    policy_version: int = 0
    missed: bool = False
    reason: str = ""


def hold_wish(reason: str, missed: bool = False) -> Wish:
    """A hold of the last target."""
    return Wish(missed=missed, reason=reason)
