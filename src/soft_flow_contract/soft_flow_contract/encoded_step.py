"""A step of an episode whose images are still compressed, free of ROS: what a reader of bags works on."""

from dataclasses import dataclass

import numpy as np

# Where an executed action came from: the values of ExecutedAction.SOURCE_*, for readers that know no ROS.
SOURCE_HOLD, SOURCE_POLICY, SOURCE_TELEOP, SOURCE_SCRIPTED = range(4)
SOURCE_NONE = -1  # of a step without an action


@dataclass(frozen=True)
class EncodedStep:
    """One transition as it was recorded; nothing is checked yet.

    Attributes:
        stamp_ns: the tick, in nanoseconds.
        task: name of the specification that the observation carries.
        specification_hash: its hash.
        proprioception: float32.
        images: compressed images, in the order of the specification.
        action: float32 executed action in contract space; empty in the last step.
        reward: of the action.
        flags: stage name -> reached after the action.
        outcome: label of the whole episode.
        source: of the action: SOURCE_*; SOURCE_NONE in the last step.
    """

    stamp_ns: int
    episode_id: str
    step: int
    task: str
    specification_hash: str
    proprioception: np.ndarray
    images: tuple[np.ndarray, ...]
    action: np.ndarray
    reward: float
    flags: dict[str, bool]
    is_first: bool
    is_last: bool
    is_terminal: bool
    outcome: str
    source: int = SOURCE_NONE
