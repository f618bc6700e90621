"""The contract of a task without our robot: some numbers are observed, some are chosen, 20 times a second."""

from collections.abc import Mapping, Sequence
from typing import Any

LAST_ACTION = {"name": "last_action", "unit": "1", "low": -1.0, "high": 1.0, "components": "action"}


def robotless_task(
    name: str,
    fields: Sequence[Mapping[str, Any]],
    actions: Sequence[str],
    chunk: tuple[int, int],
    max_steps: int,
    success: str,
    limits: Mapping[str, Any],
) -> dict[str, Any]:
    """A specification as a mapping; actions are absolute numbers in [-1, 1].

    Args:
        name: of the task.
        fields: of the observation; the last action is added to them.
        actions: their names.
        chunk: steps planned and executed.
        max_steps: of an episode.
        success: its only stage.
        limits: workspace_low, workspace_high, max_translation and max_rotation, which nothing here moves by.
    """
    return {
        "task": name,
        "rate_hz": 20.0,
        "observation": {"proprioception": [*map(dict, fields), LAST_ACTION], "cameras": []},
        "action": {
            "arm": None,
            "hand": [{"name": action, "low": -1.0, "high": 1.0} for action in actions],
        },
        "chunk": {"length": chunk[0], "executed": chunk[1]},
        "episode": {"max_steps": max_steps, "flags": [success], "success_flag": success},
        "timing": {
            "command_phase": 0.025,
            "source_max_age": 0.12,
            "missed_limit": 10,
            "observation_timeout": 0.125,
        },
        "limits": {"max_hand_step": 2.0, "max_target_lead": 1.0, **limits},
    }
