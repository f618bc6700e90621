"""Decides whether a commanded flange pose may become the target; what is wrong is refused."""

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from soft_flow_contract.errors import ContractError
from soft_flow_contract.pose import Pose

_QUATERNION_TOLERANCE = 1e-2  # of the length; float32 and hand-written poses pass, a zero quaternion does not
_CLAMPED_AT_MOST = 0.05  # m outside the workspace; farther is no rounding but a mistake


class TargetRefused(ContractError):  # noqa: N818 - says what happened
    """A target is not followed; the message says why."""


@dataclass(frozen=True)
class CommandedPose:
    """A target as it was received: position (3,), m; quaternion (4,), x y z w; stamp 0 if it has none."""

    position: NDArray[np.float64]
    quaternion: NDArray[np.float64]
    frame: str
    stamp_ns: int


class TargetGuard:
    """Checks targets against the workspace, against the reference, and against the one before.

    Args:
        low: (3,) corner of the workspace, m, flange in base frame.
        high: (3,) the opposite corner.
        max_jump: m between a target and the reference.
        max_jump_angle: rad between them.
        frames: names of the base frame.
    """

    def __init__(
        self,
        low: NDArray[np.float64],
        high: NDArray[np.float64],
        max_jump: float,
        max_jump_angle: float,
        frames: frozenset[str],
    ) -> None:
        self._low, self._high = np.asarray(low, float), np.asarray(high, float)
        self._max_jump, self._max_jump_angle, self._frames = max_jump, max_jump_angle, frames
        self._last_stamp_ns = 0
        self.clamped = 0

    def forget(self) -> None:
        """Begin anew: stamps may start from any time."""
        self._last_stamp_ns = 0

    def check(self, commanded: CommandedPose, lead: Pose) -> Pose:
        """The target to follow, clamped to the workspace if it is just outside.

        Args:
            commanded: what was received.
            lead: where the reference's lead is now.

        Raises:
            TargetRefused: it must not be followed.
        """
        self._require_frame(commanded.frame)
        position, quaternion = _require_pose(commanded)
        stamp_ns = commanded.stamp_ns
        if stamp_ns and stamp_ns <= self._last_stamp_ns:
            raise TargetRefused(
                f"target: its stamp {stamp_ns} ns is not after the last one's ({self._last_stamp_ns} ns); "
                "does something play it back?"
            )
        inside = np.clip(position, self._low, self._high)
        outside = float(np.abs(position - inside).max())
        if outside > _CLAMPED_AT_MOST:
            raise TargetRefused(
                f"target: {np.round(position, 3).tolist()} m lies {outside:.3f} m outside the workspace "
                f"{self._low.tolist()} to {self._high.tolist()} of the cell"
            )
        target = Pose(inside, quaternion)
        self._require_near(target, lead)
        self._last_stamp_ns = stamp_ns or self._last_stamp_ns
        self.clamped += outside > 0
        return target

    def _require_frame(self, frame: str) -> None:
        if frame not in self._frames:
            known = ", ".join(sorted(name for name in self._frames if name))
            raise TargetRefused(f"target: frame_id '{frame}' is not the arm's base; expected {known} or none")

    def _require_near(self, target: Pose, lead: Pose) -> None:
        translation, rotation = lead.change_to(target)
        jump, angle = float(np.linalg.norm(translation)), float(np.linalg.norm(rotation))
        if jump > self._max_jump or angle > self._max_jump_angle:
            raise TargetRefused(
                f"target: {jump:.3f} m and {angle:.2f} rad from the reference; at most {self._max_jump} m "
                f"(max_jump of the cell) and {self._max_jump_angle} rad (max_jump_angle) at once"
            )


def _require_pose(commanded: CommandedPose) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Position and unit quaternion."""
    position = np.asarray(commanded.position, float)
    quaternion = np.asarray(commanded.quaternion, float)
    if not (np.isfinite(position).all() and np.isfinite(quaternion).all()):
        raise TargetRefused("target: position or orientation is not finite")
    length = math.hypot(*quaternion)
    if abs(length - 1) > _QUATERNION_TOLERANCE:
        raise TargetRefused(
            f"target: quaternion {quaternion.tolist()} (x y z w) has length {length:.3f}; expected 1"
        )
    return position, quaternion / length
