"""How a scripted operator goes about an episode: its habits, and where it misjudges."""

from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray

Approach = Literal["above", "side"]
Fingers = Literal["all", "index_out", "thumb_last"]

# How often the operator misjudges the grip and the cut; tuned to about 72 % grasps and 60 % cuts.
GRIP_MISJUDGEMENT = 0.26
CUT_MISJUDGEMENT = 0.15
# Keeps the operator's draws apart from the world's, which come from the same seed.
_STREAM = 1
_CAREFUL_GRIP = 0.0025  # m, standard deviation of a grip that is not misjudged
_CAREFUL_CUT = 0.0025


@dataclass(frozen=True)
class OperatorStyle:
    """Everything that an operator decides or gets wrong in one episode; drawn from its seed.

    Attributes:
        approach: descend beside the handles, or come in low.
        fingers: which fingers grip and when: all at once, the index finger stretched out, the thumb after the
            others.
        strand_side: +1 turns the blades to the left for the cut and comes from the right, -1 the other way
            round.
        approach_height: of the way-point before the grip above it, metres.
        standoff: distance of that way-point on the palm's back side, metres.
        grip_yaw: turn of the hand against the handles, rad.
        grip_error: along the blades, out of the palm and up, metres, shape (3,).
        lift_height: metres.
        cut_yaw: direction of the blades at the cut, rad about +z from +x.
        cut_height: metres above the table.
        cut_error: along and across the blades, metres, shape (2,).
        tempo: durations relative to nominal.
    """

    approach: Approach
    fingers: Fingers
    strand_side: int
    approach_height: float
    standoff: float
    grip_yaw: float
    grip_error: NDArray[np.float64]
    lift_height: float
    cut_yaw: float
    cut_height: float
    cut_error: NDArray[np.float64]
    tempo: float


def _grip_error(random: np.random.Generator) -> NDArray[np.float64]:
    error = random.normal(0.0, _CAREFUL_GRIP, 3)
    misjudged = random.random() < GRIP_MISJUDGEMENT
    kind, size, sign = random.integers(3), random.uniform(0.026, 0.038), random.choice([-1.0, 1.0])
    if misjudged:
        # Along the handles, short of them, or above them; too far would only push the scissors into the palm.
        error += size * np.array([[sign, 0.0, 0.0], [0.0, -1.0, 0.0], [0.0, 0.0, 1.0]])[kind]
    return error


def _cut_error(random: np.random.Generator) -> NDArray[np.float64]:
    error = random.normal(0.0, _CAREFUL_CUT, 2)
    misjudged = random.random() < CUT_MISJUDGEMENT
    beside, size, sign = random.random() < 0.5, random.uniform(0.0, 1.0), random.choice([-1.0, 1.0])
    if misjudged:
        # Beside the strand, or short of it.
        error += (
            np.array([0.0, sign * (0.022 + 0.012 * size)])
            if beside
            else np.array([-0.075 - 0.02 * size, 0.0])
        )
    return error


def draw_style(seed: int, misjudges: bool = True) -> OperatorStyle:
    """Draws the style of an episode.

    Args:
        seed: of the episode; the same seed gives the same style.
        misjudges: False for a perfect execution of the same style.

    Returns:
        The style.
    """
    random = np.random.default_rng([seed, _STREAM])
    approach: Approach = "above" if random.random() < 0.5 else "side"
    fingers: Fingers = ("all", "index_out", "thumb_last")[random.choice(3, p=[0.4, 0.3, 0.3])]
    side = 1 if random.random() < 0.5 else -1
    above = approach == "above"
    style = OperatorStyle(
        approach=approach,
        fingers=fingers,
        strand_side=side,
        approach_height=random.uniform(0.09, 0.13) if above else random.uniform(0.0, 0.012),
        standoff=random.uniform(0.035, 0.050) if above else random.uniform(0.09, 0.12),
        grip_yaw=random.normal(0.0, 0.025) + (0.08 if above else 0.0),
        grip_error=_grip_error(random),
        lift_height=random.uniform(0.09, 0.13),
        cut_yaw=side * random.uniform(0.25, 0.45),
        cut_height=random.uniform(0.15, 0.20),
        cut_error=_cut_error(random),
        tempo=random.uniform(0.92, 1.10),
    )
    if misjudges:
        return style
    return OperatorStyle(**{**vars(style), "grip_error": np.zeros(3), "cut_error": np.zeros(2)})
