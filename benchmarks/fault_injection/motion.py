"""What the joints did around a fault: when motion ended, and whether anything moved again."""

import math
from dataclasses import dataclass
from pathlib import Path

import numpy as np

# Below these a joint counts as standing: under impedance control and gravity none is ever quite still.
ARM_STILL, HAND_STILL = 0.05, 0.35  # rad/s
# How far a joint may still go once motion has to be over: settling, not moving.
ARM_DRIFT, HAND_DRIFT = 0.02, 0.12  # rad
LIMIT_S = 0.25
_REST_S = 0.1  # without motion, after which it has ended


@dataclass(frozen=True)
class Motion:
    """Samples of all joints.

    Attributes:
        time_s: (N,) simulated seconds since the fault; those before it are negative.
        arm: (N, 7) rad.
        hand: (N, H) rad.
    """

    time_s: np.ndarray
    arm: np.ndarray
    hand: np.ndarray

    def longest_gap(self) -> float:
        """Longest time (s) between two samples."""
        return float(np.max(np.diff(self.time_s)))

    def save(self, path: Path) -> None:
        """Write all samples."""
        path.parent.mkdir(parents=True, exist_ok=True)
        np.savez_compressed(path, time_s=self.time_s, arm=self.arm, hand=self.hand)

    def speed(self, joints: np.ndarray, span_s: float = 0.02) -> np.ndarray:
        """Largest joint speed over the last `span_s` at every sample, (N,) rad/s."""
        start = np.searchsorted(self.time_s, self.time_s - span_s)
        elapsed = np.maximum(self.time_s - self.time_s[start], 1e-3)
        return np.max(np.abs(joints - joints[start]), axis=1) / elapsed

    def moving(self) -> np.ndarray:
        """Whether anything moves, at every sample (N,)."""
        return (self.speed(self.arm) > ARM_STILL) | (self.speed(self.hand) > HAND_STILL)


@dataclass(frozen=True)
class Stop:
    """How the robot stopped.

    Attributes:
        stop_s: from the fault to the end of the motion; 0 if it stood already.
        drift_arm, drift_hand: the farthest that a joint went after LIMIT_S, rad.
        last: which moved last, arm or hand.
        moved_before: whether it moved in the 0.2 s before the fault; otherwise nothing was tried.
    """

    stop_s: float
    drift_arm: float
    drift_hand: float
    last: str
    moved_before: bool

    @property
    def holds(self) -> bool:
        """Whether motion ended in time and nothing moved again."""
        return self.stop_s <= LIMIT_S and self.drift_arm <= ARM_DRIFT and self.drift_hand <= HAND_DRIFT


def judge(motion: Motion) -> Stop:
    """How the robot stopped.

    Raises:
        ValueError: the samples do not reach over the limit.
    """
    after = motion.time_s >= 0
    if not np.any(motion.time_s > 2 * LIMIT_S):
        raise ValueError("the samples end before the motion has to be over")
    moving = motion.moving()
    times = motion.time_s[after & moving]
    late = motion.time_s >= LIMIT_S
    drift = [float(np.max(np.abs(joints[late] - joints[late][0]))) for joints in (motion.arm, motion.hand)]
    before = (motion.time_s < 0) & (motion.time_s > -0.2)
    # The stop is the end of all motion within the limit, or of a stretch that goes on beyond it; what comes
    # after a rest is another motion, which the drift judges.
    stop = 0.0
    for time in times:
        if time > LIMIT_S and time - stop > _REST_S:
            break
        stop = float(time)
    at = int(np.argmin(np.abs(motion.time_s - stop)))
    last = "arm" if motion.speed(motion.arm)[at] > ARM_STILL else "hand"
    stop = math.ceil(stop * 1e4 - 1e-6) * 1e-4  # never shorter than it was
    return Stop(round(stop, 4), *drift, last=last, moved_before=bool(np.any(moving[before])))
