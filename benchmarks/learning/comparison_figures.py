"""What a comparison concludes: figures with goals, for `results/learning_NAME.{md,json}`."""

import json
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from figures import Figure

from learning.arms import ARMS
from learning.comparison import ArmStage, Estimate, Results
from learning.evaluation import FIXED, RANDOM

LAST = "online"


@dataclass(frozen=True)
class Goal:
    """A difference that has to be reached.

    Attributes:
        first: arm and stage.
        second: arm and stage it is compared with.
        flag: stage of success.
        points: the least difference of the means.
        above_zero: the interval must exclude 0, too.
    """

    first: ArmStage
    second: ArmStage
    flag: str
    points: float
    above_zero: bool = True


def who(arm_stage: ArmStage) -> str:
    """E.g. `SOFT-FLOW after offline`."""
    arm, stage = arm_stage
    return f"{ARMS[arm].label} after {stage}"


def goal_figure(results: Results, goal: Goal, command: str, kind: str = RANDOM) -> Figure | None:
    """The figure of a goal; None if one of its arms is missing."""
    gap = results.difference(goal.first, goal.second, goal.flag, kind)
    rival = results.rate(goal.second, goal.flag, kind)
    if gap is None or rival is None:
        return None
    wanted = f">= {goal.points:g}" + (", interval above 0" if goal.above_zero else "")
    holds = gap.points >= goal.points and (gap.interval.low > 0 or not goal.above_zero)
    name = f"{goal.flag}: {who(goal.first)} minus {who(goal.second)} ({gap.interval_text})"
    return Figure(
        name, gap.points, "points", wanted, holds, who(goal.second), rival.points, gap.trials, command
    )


def rate_figures(results: Results, flags: Sequence[str], command: str) -> list[Figure]:
    """Rates of all arms after all stages, from random and from the fixed start."""
    found = []
    for kind in (RANDOM, FIXED):
        where = "held-out starts" if kind == RANDOM else "the fixed start"
        for flag in flags:
            for arm in results.runs:
                for stage in results.stages(arm):
                    rate = results.rate((arm, stage), flag, kind)
                    if rate is not None:
                        name = f"{flag}, {who((arm, stage))}, from {where} ({rate.interval_text})"
                        found.append(Figure(name, rate.points, "%", trials=rate.trials, command=command))
    return found


def difference_table(results: Results, flag: str) -> str:
    """All arms against SOFT-FLOW after their last stage, and every arm against its own imitation."""
    lines = ["| difference | points | 95 % interval | counts |", "| --- | --- | --- | --- |"]
    pairs: list[tuple[ArmStage, ArmStage]] = []
    for arm in results.runs:
        stages = results.stages(arm)
        pairs += [((arm, stage), (arm, "imitation")) for stage in stages if stage != "imitation"]
    if "soft_flow" in results.runs:
        for arm in results.runs:
            if arm != "soft_flow":
                pairs.append((("soft_flow", LAST), (arm, results.stages(arm)[-1])))
                pairs.append((("soft_flow", "imitation"), (arm, "imitation")))
    for first, second in pairs:
        gap = results.difference(first, second, flag, RANDOM)
        if gap is not None:
            lines.append(_difference_row(f"{who(first)} - {who(second)}", gap))
    return "\n".join(lines)


def _difference_row(name: str, gap: Estimate) -> str:
    low, high = 100 * gap.interval.low, 100 * gap.interval.high
    counts = "yes" if low > 0 or high < 0 else "no"
    return f"| {name} | {gap.points:+.1f} | {low:+.1f} to {high:+.1f} | {counts} |"


def effort_table(results: Results) -> str:
    """What each arm got: seeds, updates, episodes, minutes."""
    lines = [
        "| arm | seeds | updates by stage | demonstrations (successful) | rollouts (successful) "
        "| minutes a seed |",
        "| --- | --- | --- | --- | --- | --- |",
    ]
    for arm, runs in results.runs.items():
        first = next(iter(runs.values()))
        updates = ", ".join(f"{stage} {count}" for stage, count in first["updates"].items())
        rounds = [_total(run["rollouts"]) for run in runs.values()]
        minutes = np.mean([sum(spent.values()) / 60 for spent in results.timing[arm].values()])
        lines.append(
            f"| {ARMS[arm].label} | {_ranges(list(runs))} | {updates} "
            f"| {_pair([_total([run['demonstrations']]) for run in runs.values()])} | {_pair(rounds)} "
            f"| {minutes:.1f} |"
        )
    return "\n".join(lines)


def _total(counts: Sequence[dict[str, int]]) -> tuple[int, int]:
    return sum(c["episodes"] for c in counts), sum(c["successes"] for c in counts)


def _pair(totals: Sequence[tuple[int, int]]) -> str:
    episodes, successes = np.mean(totals, axis=0)
    return f"{episodes:.0f} ({successes:.0f})"


def _ranges(seeds: Sequence[int]) -> str:
    """Seeds as text, such as `0-4, 7`."""
    parts: list[list[int]] = []
    for seed in sorted(seeds):
        if parts and seed == parts[-1][-1] + 1:
            parts[-1].append(seed)
        else:
            parts.append([seed])
    return ", ".join(f"{p[0]}-{p[-1]}" if len(p) > 1 else str(p[0]) for p in parts)


def configuration(results: Results) -> dict[str, Any]:
    """The settings of every arm, as they were run."""
    return json.loads(json.dumps(results.settings))
