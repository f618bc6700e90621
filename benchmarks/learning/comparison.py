"""What the experiments of a folder say together: success by stage, and differences between arms."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from learning.arms import ARMS
from learning.hierarchical_bootstrap import hierarchical_interval
from soft_flow_bringup.report.statistics import Interval
from soft_flow_contract.task_specification import first_difference
from soft_flow_learner.errors import LearnerError

ArmStage = tuple[str, str]  # name of an arm, stage of training


@dataclass(frozen=True)
class Estimate:
    """A mean over seeds and starts, as a fraction, with its 95 % interval."""

    value: float
    interval: Interval
    seeds: int
    trials: int

    @property
    def points(self) -> float:
        """In percent, or percentage points."""
        return round(100 * self.value, 1)

    @property
    def interval_text(self) -> str:
        """E.g. `95 % 12 to 31`."""
        return f"95 % {100 * self.interval.low:.0f} to {100 * self.interval.high:.0f}"


@dataclass(frozen=True)
class Results:
    """All finished experiments of a folder.

    Attributes:
        runs: arm -> seed -> result.
        timing: arm -> seed -> seconds by what they were spent on.
        settings: arm -> what its experiments were begun with, but for the seed.
    """

    runs: Mapping[str, Mapping[int, Mapping[str, Any]]]
    timing: Mapping[str, Mapping[int, Mapping[str, float]]]
    settings: Mapping[str, Mapping[str, Any]]

    def stages(self, arm: str) -> list[str]:
        """Stages after which an arm was evaluated."""
        return list(next(iter(self.runs[arm].values()))["evaluations"])

    def rows(self, who: ArmStage, flag: str, kind: str) -> dict[int, dict[int, int]]:
        """Seed -> start -> 0 or 1 of an arm after a stage."""
        arm, stage = who
        found = {}
        for seed, run in self.runs.get(arm, {}).items():
            result = run["evaluations"].get(stage, {}).get(kind)
            if result is not None:
                found[seed] = dict(zip(result["starts"], result[flag], strict=True))
        return found

    def rate(self, who: ArmStage, flag: str, kind: str) -> Estimate | None:
        """How often a stage of success was reached; None without trials."""
        rows = [np.array(list(row.values())) for row in self.rows(who, flag, kind).values()]
        return _estimate(rows)

    def difference(self, first: ArmStage, second: ArmStage, flag: str, kind: str) -> Estimate | None:
        """First minus second, paired by seed and start; None if they have none in common."""
        a, b = self.rows(first, flag, kind), self.rows(second, flag, kind)
        rows = []
        for seed in sorted(a.keys() & b.keys()):
            starts = sorted(a[seed].keys() & b[seed].keys())
            rows.append(np.array([a[seed][start] - b[seed][start] for start in starts]))
        return _estimate([row for row in rows if row.size])


def _estimate(rows: Sequence[np.ndarray]) -> Estimate | None:
    if not rows:
        return None
    value = float(np.mean([row.mean() for row in rows]))
    return Estimate(value, hierarchical_interval(rows), len(rows), sum(row.size for row in rows))


def read_results(root: Path) -> Results:
    """All finished experiments under `root`/ARM/SEED; those that are not finished are left out.

    Raises:
        LearnerError: experiments of one arm were run with different settings.
    """
    runs: dict[str, dict[int, Any]] = {}
    timing: dict[str, dict[int, Any]] = {}
    settings: dict[str, Any] = {}
    for arm in ARMS:
        for file in sorted((root / arm).glob("*/result.json"), key=lambda path: int(path.parent.name)):
            result, begun, spent = (
                json.loads((file.parent / name).read_text(encoding="utf-8"))
                for name in ("result.json", "experiment.json", "timing.json")
            )
            seed = begun.pop("seed")
            difference = first_difference(settings.setdefault(arm, begun), begun)
            if difference is not None:
                place, first, here = difference
                raise LearnerError(
                    f"{file.parent}: {place} is {here!r}, in other seeds it is {first!r}; "
                    "move one kind to another folder"
                )
            runs.setdefault(arm, {})[seed] = result
            timing.setdefault(arm, {})[seed] = spent
    return Results(runs, timing, settings)
