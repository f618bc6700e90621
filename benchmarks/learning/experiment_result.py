"""What came of an (arm, seed), for comparisons: what it had, and what it reached from every start."""

import json
from collections.abc import Mapping, Sequence
from typing import Any

from learning.episode_file import load_episodes
from learning.experiment_folder import ExperimentFolder
from soft_flow_learner.episode import Episode


def experiment_result(
    arm: str,
    seed: int,
    updates: Mapping[str, int],
    demonstrations: Sequence[Episode],
    folder: ExperimentFolder,
    rounds: int,
) -> dict[str, Any]:
    """The content of `result.json`; `updates` by stage, in their order."""
    evaluated = [stage for stage in updates if stage != "warmup"]
    return {
        "arm": arm,
        "seed": seed,
        "updates": dict(updates),
        "demonstrations": _counts(demonstrations),
        "rollouts": [_counts(load_episodes(folder.rollouts(number))) for number in range(rounds)],
        "evaluations": {
            stage: json.loads(folder.evaluation(stage).read_text(encoding="utf-8")) for stage in evaluated
        },
    }


def _counts(episodes: Sequence[Episode]) -> Mapping[str, int]:
    successes = sum(episode.record.outcome == "success" for episode in episodes)
    return {"episodes": len(episodes), "successes": successes}
