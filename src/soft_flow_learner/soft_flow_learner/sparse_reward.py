"""The label of an episode decides its sparse reward.

A person who labels an episode (there is no oracle on a real robot), or corrects a label, says what the reward
is: one for the action that ended a success, none in a failure. Rewards that are more than that, such as those
of a task that counts turns, stay as they were recorded.
"""

import numpy as np


def is_sparse(rewards: np.ndarray) -> bool:
    """Whether rewards (N,) say no more than a label: all zero, or a single one."""
    return not rewards.any() or (np.count_nonzero(rewards) == 1 and bool(rewards.max() == 1.0))


def follow_label(rewards: np.ndarray, terminal: bool, outcome: str) -> tuple[np.ndarray, bool]:
    """Rewards (N,) and whether the last action ended the task, as the label has it.

    Args:
        rewards: as recorded.
        terminal: as recorded.
        outcome: "success" or "failure".
    """
    if not is_sparse(rewards) or (outcome == "success") == bool(rewards.any()):
        return rewards, terminal
    labelled = np.zeros_like(rewards)
    if outcome == "success":
        labelled[-1] = 1.0
        return labelled, True
    return labelled, terminal
