"""What the imitation benchmark concludes from its episodes: rates, differences with intervals, goals."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from figures import Figure

from soft_flow_bringup.report.episode_log import EpisodeRecord, stage_rate
from soft_flow_bringup.report.statistics import (
    Interval,
    Rate,
    difference_interval,
    paired_bootstrap_interval,
)

NOT_BELOW_OPERATOR = 0.5  # of the operator's own rate of grasps
ABOVE_BLIND = 20.0  # points over the policy without images
SMOOTH = 1.5  # times the demonstrations' second difference
COMMAND = "./soft-flow bench imitation"

OPERATOR, POLICY, BLIND = "operator", "policy", "policy without images"
FIXED, UNASSISTED = "policy, fixed start", "operator without grasp assist"


@dataclass(frozen=True)
class Difference:
    """Of two rates, in points, with its intervals.

    Attributes:
        points: first minus second.
        independent: Newcombe's interval, which does not use that the starts are the same.
        paired: bootstrap over the starts that both had; None without such starts.
        pairs: how many starts both had.
    """

    points: float
    independent: Interval
    paired: Interval | None
    pairs: int

    @property
    def low(self) -> float:
        """The lower end of the more careful of the two intervals."""
        return min(self.independent.low, self.paired.low if self.paired else 100.0)


def difference(first: Sequence[EpisodeRecord], second: Sequence[EpisodeRecord], stage: str) -> Difference:
    """How much more often the first reached `stage`, with 95 % intervals, all in points."""
    rates = stage_rate(first, stage), stage_rate(second, stage)
    bounds = difference_interval(*rates)
    by_seed = [{record.seed: record.reached(stage) for record in records} for records in (first, second)]
    common = sorted(by_seed[0].keys() & by_seed[1].keys())
    paired = None
    if common:
        results = [np.array([results[seed] for seed in common]) for results in by_seed]
        paired = _points(paired_bootstrap_interval(*results))
    return Difference(100 * (rates[0].value - rates[1].value), _points(bounds), paired, len(common))


def _points(interval: Interval) -> Interval:
    return Interval(100 * interval.low, 100 * interval.high)


def interval_text(rate: Rate) -> str:
    """E.g. `95 % 48-85`."""
    bounds = rate.wilson()
    return f"95 % {100 * bounds.low:.0f}-{100 * bounds.high:.0f}"


def rate_figure(who: str, stage: str, records: Sequence[EpisodeRecord]) -> Figure:
    """A rate in percent, its interval in the name."""
    rate = stage_rate(records, stage)
    name = f"{stage}, {who} ({interval_text(rate)})"
    return Figure(name, round(100 * rate.value, 1), "%", trials=rate.trials, command=COMMAND)


def goal_figures(records: Mapping[str, Sequence[EpisodeRecord]], stage: str) -> list[Figure]:
    """The figures that have goals, for the stage `stage`."""
    policy, operator = stage_rate(records[POLICY], stage), stage_rate(records[OPERATOR], stage)
    least = 100 * NOT_BELOW_OPERATOR * operator.value
    gap = difference(records[POLICY], records[BLIND], stage)
    newcombe = f"Newcombe 95 % {gap.independent.low:.0f} to {gap.independent.high:.0f}"
    bootstrap = f", paired bootstrap {gap.paired.low:.0f} to {gap.paired.high:.0f}" if gap.paired else ""
    blind = stage_rate(records[BLIND], stage)
    return [
        Figure(
            f"{stage} by the policy from held-out starts ({interval_text(policy)})",
            round(100 * policy.value, 1),
            "%",
            f">= {least:.1f} (half of the operator's)",
            100 * policy.value >= least,
            OPERATOR,
            round(100 * operator.value, 1),
            policy.trials,
            COMMAND,
        ),
        Figure(
            f"{stage}: policy minus policy without images ({newcombe}{bootstrap})",
            round(gap.points, 1),
            "points",
            f">= {ABOVE_BLIND:g}, interval above 0",
            gap.points >= ABOVE_BLIND and gap.low > 0,
            BLIND,
            round(100 * blind.value, 1),
            policy.trials + blind.trials,
            COMMAND,
        ),
    ]


def imitation_figures(
    records: Mapping[str, Sequence[EpisodeRecord]],
    stages: Sequence[str],
    updates: Mapping[str, tuple[int, float]],
    smoothness_ratio: float,
) -> list[Figure]:
    """All figures.

    Args:
        records: who acted -> episodes that count; who has none is left out.
        stages: of the task, in order; the first one has the goals.
        updates: policy -> updates and minutes of its training.
        smoothness_ratio: second difference of the policy's commands by the demonstrations'.
    """
    figures = goal_figures(records, stages[0])
    figures += [
        rate_figure(who, stage, episodes) for stage in stages for who, episodes in records.items() if episodes
    ]
    figures += [
        Figure(f"updates of the {who} in {minutes:.1f} min", count, "updates", command=COMMAND)
        for who, (count, minutes) in updates.items()
    ]
    smooth = Figure(
        "RMS second difference of commands, policy by demonstrations",
        round(smoothness_ratio, 3),
        "ratio",
        f"<= {SMOOTH:g}",
        smoothness_ratio <= SMOOTH,
        trials=len(records[POLICY]),
        command=COMMAND,
    )
    return [*figures, smooth]
