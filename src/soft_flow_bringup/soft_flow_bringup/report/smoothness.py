"""How smooth commands are: the root mean square of their second difference in time."""

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np

ARM_DIMENSIONS = 6


@dataclass(frozen=True)
class Smoothness:
    """RMS second differences of targets, in contract units a tick squared; NaN without data.

    Attributes:
        arm: of the flange target (6 dimensions; the actions are already its first differences).
        hand: of the joint targets of the hand.
        whole: of both together.
        episodes: how many episodes it was taken from.
    """

    arm: float
    hand: float
    whole: float
    episodes: int

    def relative_to(self, other: "Smoothness") -> "Smoothness":
        """Ratios to another one's values, e.g. the policy's to the demonstrations'."""
        return Smoothness(
            self.arm / other.arm, self.hand / other.hand, self.whole / other.whole, self.episodes
        )


def second_differences(actions: np.ndarray) -> np.ndarray:
    """Second differences (N - 2, A) of the targets that `actions` (N, A) in contract space command.

    An arm action is a change of the target, so one difference of it is a second difference of the target;
    a hand action is the target itself.
    """
    arm = np.diff(actions[:, :ARM_DIMENSIONS], axis=0)[1:]
    hand = np.diff(actions[:, ARM_DIMENSIONS:], n=2, axis=0)
    return np.concatenate([arm, hand], axis=1)


def measure_smoothness(episodes: Iterable[np.ndarray]) -> Smoothness:
    """Smoothness over episodes of actions (N, A) in contract space; those under three steps are left out."""
    squares = [second_differences(actions) ** 2 for actions in episodes if len(actions) >= 3]
    if not squares:
        return Smoothness(float("nan"), float("nan"), float("nan"), 0)
    mean = np.concatenate(squares).mean(axis=0)
    arm, hand = mean[:ARM_DIMENSIONS].mean(), mean[ARM_DIMENSIONS:].mean()
    return Smoothness(float(np.sqrt(arm)), float(np.sqrt(hand)), float(np.sqrt(mean.mean())), len(squares))
