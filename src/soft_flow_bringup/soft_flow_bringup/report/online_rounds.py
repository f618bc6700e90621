"""The rounds of online RL: how often the policy succeeded while it learned."""

import json
from collections.abc import Sequence

from soft_flow_bringup.report.episode_log import EpisodeRecord, RunDataError, counted, stage_rate
from soft_flow_bringup.report.parts import Drawing, Part
from soft_flow_bringup.report.run_data import RunData
from soft_flow_bringup.report.run_folder import RunFolder
from soft_flow_bringup.report.stage_plots import plot_rounds
from soft_flow_bringup.report.statistics import Rate


def episodes_per_round(folder: RunFolder) -> int | None:
    """As online RL was planned; None if no plan was noted: then all episodes are one round.

    Raises:
        RunDataError: the plan is broken.
    """
    if not folder.online_plan.exists():
        return None
    try:
        number = int(json.loads(folder.online_plan.read_text(encoding="utf-8"))["episodes_per_round"])
    except (json.JSONDecodeError, KeyError, TypeError, ValueError) as error:
        raise RunDataError(f"{folder.online_plan}: not a plan of online RL ({error!r}); remove it") from error
    if number < 1:
        raise RunDataError(f"{folder.online_plan}: episodes_per_round is {number}, expected 1 or more")
    return number


def rounds_of(records: Sequence[EpisodeRecord], per_round: int | None) -> list[list[EpisodeRecord]]:
    """The episodes that count, in the order in which they ran, by round; the last one may be shorter."""
    trials = counted(records)
    size = per_round or max(len(trials), 1)
    return [trials[first : first + size] for first in range(0, len(trials), size)]


def round_rates(run: RunData) -> dict[str, list[Rate]]:
    """Goal of the task -> how often each round of online RL reached it."""
    rounds = rounds_of(run.online, episodes_per_round(run.folder))
    return {
        goal: [stage_rate(records, goal) for records in rounds] for goal in run.specification.episode.flags
    }


def round_parts(run: RunData) -> list[Part]:
    """The plot of the rounds; nothing before the first episode of online RL."""
    rates = round_rates(run)
    if not any(rates.values()):
        return []
    caption = (
        "The policy's own attempts during online RL, by round; every round starts from other seeds, and the "
        "policy acts at a higher temperature than in the rollouts above. Bars: 95 % Wilson interval."
    )
    return [Drawing(plot_rounds(rates), caption)]
