"""Evaluations: what a policy reaches from starts that all arms and seeds share."""

from collections.abc import Callable, Sequence
from typing import Any

from learning.closed_loop import Act, World, roll_out
from learning.experiment_config import ExperimentConfig
from learning.learning_task import FIRST_FIXED, FIRST_HELD_OUT, LearningTask

RANDOM, FIXED = "random", "fixed"


class Evaluator:
    """Lets policies act from held-out starts."""

    def __init__(
        self, task: LearningTask, config: ExperimentConfig, worlds: Callable[[bool], Sequence[World]]
    ) -> None:
        """Starts as configured; `worlds(fixed)` gives the worlds to act in."""
        self._task, self._worlds = task, worlds
        self._starts = {
            RANDOM: range(FIRST_HELD_OUT, FIRST_HELD_OUT + config.starts),
            FIXED: range(FIRST_FIXED, FIRST_FIXED + config.fixed_starts),
        }

    def evaluate(self, act: Act, seed: int, candidates: int = 1) -> dict[str, Any]:
        """By kind of start: the starts, 0 or 1 for each stage of success, steps. A broken world is 0."""
        results: dict[str, Any] = {}
        for kind, starts in self._starts.items():
            if not starts:
                continue
            specification = self._task.specification
            episodes = roll_out(self._worlds(kind == FIXED), act, starts, specification, seed, candidates)
            results[kind] = {
                "starts": list(starts),
                **{
                    stage: [int(episode.reached(stage)) for episode in episodes]
                    for stage in specification.episode.flags
                },
                "steps": [len(episode.ticks) for episode in episodes],
            }
        return results


def success(result: dict[str, Any], stage: str, kind: str = RANDOM) -> float:
    """Fraction of starts from which a stage of success was reached."""
    reached: list[int] = result[kind][stage]
    return sum(reached) / len(reached)
