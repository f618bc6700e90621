"""Plots of a comparison: success by stage for each arm, and curves of likelihood and values."""

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.ticker import PercentFormatter

from learning.arms import ARMS
from learning.comparison import Results
from learning.evaluation import RANDOM
from learning.experiment_folder import STAGES
from soft_flow_bringup.report.figure_style import (
    BLUE,
    GREEN,
    MUTED,
    ORANGE,
    PURPLE,
    RED,
    SKY,
    figure,
    to_svg,
)

COLOURS = dict(zip(ARMS, (RED, MUTED, ORANGE, BLUE, GREEN, PURPLE, SKY), strict=True))


def plot_comparison(results: Results, root: Path, flags: Sequence[str]) -> str:
    """Success by stage (a panel for each of `flags`) and by round, then curves over all updates; as SVG."""
    columns = len(flags) + 1
    with figure(4.2 * columns, 6.4, columns=columns, rows=2) as (drawing, axes):
        top, bottom = axes[:columns], axes[columns:]
        for axis, flag in zip(top, flags, strict=False):
            draw_success(axis, results, flag)
        draw_rollouts(top[-1], results)
        for axis, (metric, title) in zip(bottom, CURVES, strict=False):
            draw_curve(axis, results, root, metric, title)
        top[0].legend(fontsize=8)
        return to_svg(drawing)


CURVES = (
    ("nll", "Negative log-likelihood of data\na dimension (nat)"),
    ("q_data", "Value of the data's chunks"),
    ("critic", "Cross-entropy of the critic (nat)"),
)


def draw_success(axis: Axes, results: Results, flag: str) -> None:
    """Rates after each stage, with hierarchical 95 % intervals, one line an arm."""
    stages = [stage for stage in STAGES if stage != "warmup"]
    for index, arm in enumerate(results.runs):
        known = [(stages.index(s), results.rate((arm, s), flag, RANDOM)) for s in results.stages(arm)]
        points = [(place, rate) for place, rate in known if rate is not None]
        x = np.array([place for place, _ in points]) + 0.06 * (index - len(results.runs) / 2)
        y = np.array([rate.value for _, rate in points])
        spread = np.array([[r.value - r.interval.low, r.interval.high - r.value] for _, r in points]).T
        axis.errorbar(
            x, y, np.maximum(spread, 0), fmt="-o", color=COLOURS[arm], label=ARMS[arm].label, capsize=2
        )
    axis.set_xticks(range(len(stages)), stages)
    axis.set(title=f"{flag}, held-out starts", xlabel="after stage", ylim=(-0.02, 1.02))
    axis.yaxis.set_major_formatter(PercentFormatter(1.0))


def draw_rollouts(axis: Axes, results: Results) -> None:
    """Successes of the online rounds, mean over seeds."""
    for arm, runs in results.runs.items():
        rounds = [run["rollouts"] for run in runs.values() if run["rollouts"]]
        if rounds:
            rates = [[r["successes"] / max(r["episodes"], 1) for r in run] for run in rounds]
            axis.plot(1 + np.arange(len(rates[0])), np.mean(rates, axis=0), "-", color=COLOURS[arm])
    axis.set(title="Online rollouts that succeeded", xlabel="round", ylim=(-0.02, 1.02))
    axis.yaxis.set_major_formatter(PercentFormatter(1.0))


def read_progress(path: Path) -> list[dict[str, Any]]:
    """Lines of a `progress.jsonl`; none if it is elsewhere."""
    if not path.exists():
        return []
    return [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]


def draw_curve(axis: Axes, results: Results, root: Path, metric: str, title: str) -> None:
    """A metric over the updates of all stages: each seed thin, their mean thick."""
    for arm, runs in results.runs.items():
        if metric == "nll" and not ARMS[arm].has_likelihood:
            continue
        curves = [
            _curve(root / arm / str(seed) / "progress.jsonl", metric, run) for seed, run in runs.items()
        ]
        curves = [curve for curve in curves if len(curve)]
        if not curves:
            continue
        for curve in curves:
            axis.plot(curve[:, 0], curve[:, 1], color=COLOURS[arm], alpha=0.2, linewidth=0.7)
        mean = mean_curve(curves)
        axis.plot(mean[:, 0], mean[:, 1], color=COLOURS[arm], linewidth=1.5)
    axis.set(title=title, xlabel="update, all stages")


def mean_curve(curves: Sequence[np.ndarray]) -> np.ndarray:
    """Mean (N, 2) of curves (n, 2) where all have a point; seeds may share imitation with another arm."""
    points = [dict(curve) for curve in curves]
    common = sorted(set.intersection(*map(set, points)))
    return np.array([(x, np.mean([curve[x] for curve in points])) for x in common]).reshape(-1, 2)


def _curve(path: Path, metric: str, run: Mapping[str, Any]) -> np.ndarray:
    """Updates since the beginning and the metric, (N, 2); none of a run that was recorded elsewhere."""
    before, total = {}, 0
    for stage, updates in run["updates"].items():
        before[stage] = total
        total += updates
    points = [
        (before[line["stage"]] + line["update"], line[metric])
        for line in read_progress(path)
        if metric in line
    ]
    return np.array(points).reshape(-1, 2)
