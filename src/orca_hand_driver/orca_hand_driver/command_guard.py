"""Decides whether commanded joint angles may become the target; what is wrong is refused."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from orca_hand_driver.hand_model import HandModel
from soft_flow_contract.errors import ContractError

MAX_OVERSHOOT = 0.35  # rad beyond the range of motion that are clamped; farther is no rounding but a mistake


class CommandRefused(ContractError):  # noqa: N818 - says what happened
    """A command is not followed; the message says why."""


@dataclass(frozen=True)
class JointCommand:
    """A command as it was received: names, positions in rad in the same order, stamp 0 if it has none."""

    names: Sequence[str]
    positions: Sequence[float]
    stamp_ns: int = 0


class CommandGuard:
    """Checks commands against the hand's joints, their ranges and the target before.

    Law: whatever comes in, an accepted target is finite, within the range of motion (a joint that is left out
    keeps its target), and no joint of it is farther than `max_jump` from the target before.
    """

    def __init__(self, model: HandModel, max_jump: float) -> None:
        """Refuse a joint's target that is more than `max_jump` rad from its last one."""
        self._model, self._max_jump = model, max_jump
        self._index = {name: i for i, name in enumerate(model.joint_names)}
        self._last_stamp_ns = 0
        self.clamped = 0

    def forget(self) -> None:
        """Begin anew: stamps may start from any time."""
        self._last_stamp_ns = 0

    def check(self, command: JointCommand, last_target: NDArray[np.float64]) -> NDArray[np.float64]:
        """The target (J,) in rad to follow.

        Args:
            command: what was received; joints that it leaves out keep their target.
            last_target: (J,) the target before, rad.

        Raises:
            CommandRefused: it must not be followed.
        """
        joints, positions = self._named(command), self._finite(command)
        stamp_ns = command.stamp_ns
        if stamp_ns and stamp_ns <= self._last_stamp_ns:
            raise CommandRefused(
                f"command: its stamp {stamp_ns} ns is not after the last one's ({self._last_stamp_ns} ns); "
                "does something play it back?"
            )
        inside = np.clip(positions, self._model.low[joints], self._model.high[joints])
        self._require_near_range(joints, positions, inside)
        self._require_near_target(joints, inside, last_target)
        self._last_stamp_ns = stamp_ns or self._last_stamp_ns
        self.clamped += bool(np.any(inside != positions))
        target = np.array(last_target, float)
        target[joints] = inside
        return target

    def _named(self, command: JointCommand) -> list[int]:
        names = list(command.names)
        unknown = [name for name in names if name not in self._index]
        if unknown:
            raise CommandRefused(
                f"command: the hand has no joint {', '.join(map(repr, unknown))}; it has "
                f"{', '.join(self._model.joint_names)}"
            )
        if not names or len(set(names)) < len(names):
            raise CommandRefused(f"command: expected each joint once, got {names or 'none'}")
        if len(names) != len(command.positions):
            raise CommandRefused(f"command: {len(names)} names, but {len(command.positions)} positions")
        return [self._index[name] for name in names]

    @staticmethod
    def _finite(command: JointCommand) -> NDArray[np.float64]:
        positions = np.asarray(command.positions, float)
        if not np.isfinite(positions).all():
            bad = [name for name, ok in zip(command.names, np.isfinite(positions), strict=True) if not ok]
            raise CommandRefused(f"command: {', '.join(bad)} is not finite")
        return positions

    def _require_near_range(
        self, joints: list[int], positions: NDArray[np.float64], inside: NDArray[np.float64]
    ) -> None:
        outside = np.abs(positions - inside)
        worst = int(outside.argmax())
        if outside[worst] > MAX_OVERSHOOT:
            name, joint = self._model.joint_names[joints[worst]], joints[worst]
            raise CommandRefused(
                f"command: {name} to {positions[worst]:.3f} rad is {outside[worst]:.3f} rad outside "
                f"its range {self._model.low[joint]:.3f} to {self._model.high[joint]:.3f}; are these radians?"
            )

    def _require_near_target(
        self, joints: list[int], inside: NDArray[np.float64], last_target: NDArray[np.float64]
    ) -> None:
        jump = np.abs(inside - np.asarray(last_target, float)[joints])
        worst = int(jump.argmax())
        if not jump[worst] <= self._max_jump:
            raise CommandRefused(
                f"command: {self._model.joint_names[joints[worst]]} is {jump[worst]:.3f} rad from its last "
                f"target; at most {self._max_jump:g} rad (max_jump of the cell) at once"
            )
