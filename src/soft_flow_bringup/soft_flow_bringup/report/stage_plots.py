"""The plots that follow learning over its stages. Each takes plain numbers and returns an SVG."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.patheffects import withStroke
from matplotlib.ticker import MaxNLocator, PercentFormatter

from soft_flow_bringup.report.episode_values import EpisodeValues
from soft_flow_bringup.report.figure_style import (
    BLUE,
    COLOURS,
    GREEN,
    INK,
    MUTED,
    PURPLE,
    RED,
    figure,
    to_svg,
)
from soft_flow_bringup.report.plots import running_median
from soft_flow_bringup.report.stage_log import HELD_OUT, NLL, Course, StageLog
from soft_flow_bringup.report.statistics import Rate

VERTICAL: dict[str, Any] = {"fontsize": 8, "rotation": 90, "va": "top"}  # text beside a vertical line,
AT_TOP: dict[str, Any] = {"xycoords": ("data", "axes fraction"), "textcoords": "offset points"}
BANDS = ("#f5f7fa", "#ffffff")  # behind the stages in turn
SHORT = {"imitation": "imitation", "warmup": "warm-up", "offline": "offline", "online": "online"}
MOST_LABELS = 8  # of rates side by side
LABEL_WIDTH = 0.02  # of an episode, of a label along a vertical line
LEAST_WIDTH = 0.02  # min, of a stage on the time axis


def plot_success_by_stage(rates: Mapping[str, Mapping[str, Rate]]) -> str:
    """Rates (goal -> who acted -> rate), the operator first, then the policy of every learning stage.

    One panel a goal, as in Figure 3 of SOFT-FLOW (arXiv 2602.09580); bars are 95 % Wilson intervals.
    """
    with figure(9.4, 3.3, columns=len(rates)) as (drawing, axes):
        for axis, (goal, by_who) in zip(axes, rates.items(), strict=True):
            _draw_success(axis, by_who)
            axis.set_title(goal)
        return to_svg(drawing)


def _draw_success(axis: Axes, by_who: Mapping[str, Rate]) -> None:
    names = list(by_who)
    reached = [(place, by_who[name]) for place, name in enumerate(names) if by_who[name].trials]
    colours = [COLOURS.get(name, RED) for name in names]
    policies = [(place, rate.value) for place, rate in reached if colours[place] == RED]
    if policies:
        axis.plot(*np.array(policies).T, color=RED, linewidth=1.2, alpha=0.5, zorder=1)
    for place, rate in reached:
        bounds, colour = rate.wilson(), colours[place]
        bar: dict[str, Any] = {"linewidth": 7, "alpha": 0.25, "solid_capstyle": "round"}
        axis.plot([place, place], [bounds.low, bounds.high], color=colour, **bar)
        axis.plot(place, rate.value, "o", color=colour, markersize=8)
        label: dict[str, Any] = {"fontsize": 9, "color": colour, "fontweight": "bold", "va": "center"}
        if len(names) <= MOST_LABELS:
            text = f"{rate.value:.0%}"
            clear = [withStroke(linewidth=3, foreground="white")]  # of the line between the dots
            axis.annotate(
                text, (place, rate.value), (9, 0), textcoords="offset points", path_effects=clear, **label
            )
    counts = [f"{r.successes} of {r.trials}" if r.trials else "not run" for r in by_who.values()]
    texts = [f"{name}\n{count}" for name, count in zip(names, counts, strict=True)]
    step = -(-len(names) // MOST_LABELS)
    axis.set_xticks(range(0, len(names), step), texts[::step], fontsize=9)
    axis.set(xlim=(-0.5, len(names) - 0.3), ylim=(-0.03, 1.03))
    axis.yaxis.set_major_formatter(PercentFormatter(1.0))
    axis.grid(axis="x", visible=False)


def plot_rounds(rates: Mapping[str, Sequence[Rate]]) -> str:
    """Rates (goal -> one a round) of the policy that acts and learns; one panel a goal, Wilson intervals."""
    with figure(9.4, 2.9, columns=len(rates)) as (drawing, axes):
        for axis, (goal, by_round) in zip(axes, rates.items(), strict=True):
            _draw_success(axis, {str(number): rate for number, rate in enumerate(by_round, start=1)})
            axis.set(title=goal, xlabel="round of online RL")
        return to_svg(drawing)


class StageAxis:
    """The minutes of all stages one after the other."""

    def __init__(self, logs: Sequence[StageLog]) -> None:
        """Put the stages whose course is known side by side."""
        self.logs = [log for log in logs if log.courses]
        widths = [max(log.seconds / 60, LEAST_WIDTH) for log in self.logs]
        self.edges = np.concatenate([[0.0], np.cumsum(widths)])

    def draw(self, axis: Axes) -> None:
        """Bands and names of the stages."""
        for index, log in enumerate(self.logs):
            low, high = self.edges[index : index + 2]
            axis.axvspan(low, high, color=BANDS[index % 2], zorder=0)
            axis.annotate(SHORT[log.name], (low, 1.0), (2, -3), color=MUTED, ha="left", **AT_TOP, **VERTICAL)
        axis.set(xlim=(0, self.edges[-1]), xlabel="minutes of training")

    def draw_course(self, axis: Axes, name: str, colour: str, label: str, sign: float = 1.0) -> None:
        """A measurement of every update: faintly, with its running median in every stage."""
        for start, log in zip(self.edges, self.logs, strict=False):
            course = log.course(name)
            if not len(course.values):
                continue
            minutes, values = start + course.seconds / 60, sign * course.values
            axis.plot(minutes, values, color=colour, alpha=0.2, linewidth=0.8)
            axis.plot(minutes, running_median(values), color=colour, linewidth=1.8, label=label)
            label = "_"  # only once in the legend

    def draw_points(self, axis: Axes, name: str, colour: str, label: str, sign: float = 1.0) -> None:
        """A measurement that was made now and then."""
        parts = [
            (start + log.course(name).seconds / 60, sign * log.course(name).values)
            for start, log in zip(self.edges, self.logs, strict=False)
        ]
        minutes, values = (np.concatenate(part) for part in zip(*parts, strict=True))
        axis.plot(minutes, values, "-o", color=colour, markersize=3.5, linewidth=1.5, label=label)


def plot_stage_curves(logs: Sequence[StageLog]) -> str:
    """Likelihood, weights of the actor's loss, critic's loss, and Q, over all stages."""
    stages = StageAxis([_thinned(log) for log in logs])
    with figure(9.4, 6.2, columns=2, rows=2) as (drawing, axes):
        likelihood, weights, critic, value = axes
        stages.draw_course(likelihood, NLL, BLUE, "training", sign=-1)
        stages.draw_points(likelihood, HELD_OUT, RED, "held out", sign=-1)
        likelihood.set(title="Likelihood of demonstrations", ylabel="log-likelihood\na dimension (nat)")
        stages.draw_course(weights, "beta", GREEN, "beta, of the likelihood")
        stages.draw_course(weights, "lambda", PURPLE, "lambda, of Q")
        weights.set(title="Weights of the actor's loss", ylim=(0, None))
        stages.draw_course(critic, "critic", BLUE, "cross-entropy")
        critic.set(title="Critic's loss", ylabel="nat")
        stages.draw_course(value, "q_data", BLUE, "data")
        stages.draw_course(value, "q_policy", RED, "policy")
        value.set(title="Q", ylabel="discounted return")
        for axis in axes:
            stages.draw(axis)
            if axis.get_legend_handles_labels()[1]:
                axis.legend(fontsize=8, loc="best")
        return to_svg(drawing)


def _thinned(log: StageLog, points: int = 400) -> StageLog:
    """The same with at most so many points a curve, each the median of its neighbours: a page stays small."""

    def thin(course: Course) -> Course:
        parts = np.array_split(np.arange(len(course.values)), min(points, max(len(course.values), 1)))
        middle = [part for part in parts if len(part)]
        return Course(
            np.array([course.seconds[part].mean() for part in middle]),
            np.array([np.median(course.values[part]) for part in middle]),
        )

    courses = {name: thin(course) for name, course in log.courses.items()}
    return StageLog(log.name, log.updates, log.seconds, courses)


def plot_episode_values(
    values: EpisodeValues, goals: Mapping[str, int], strip: np.ndarray, steps: int, dt: float
) -> str:
    """Q along an episode above its pictures.

    Args:
        values: of the critic.
        goals: name -> the tick at which it was reached first.
        strip: (H, W, 3) uint8 pictures side by side that cover the episode evenly.
        steps: N actions of the episode.
        dt: s a tick.
    """
    with figure(9.4, 3.2, rows=2, heights=(2.2, 1)) as (drawing, (axis, pictures)):
        seconds = values.ticks * dt
        axis.fill_between(seconds, values.executed, values.highest, color=BLUE, alpha=0.2, linewidth=0)
        axis.plot(seconds, values.executed, color=BLUE, linewidth=2, label="Q, the lowest of the ensemble")
        axis.plot(seconds, values.followed, "--", color=MUTED, linewidth=1.2, label="what really followed")
        for tick in goals.values():
            axis.axvline(tick * dt, color=GREEN, linewidth=1.2)
        for tick, names in _labels(goals, steps):
            style: dict[str, Any] = {
                "fontsize": 8,
                "color": GREEN,
                "rotation": 90,
                "va": "top",
                "ha": "right",
            }
            place: dict[str, Any] = {"xycoords": ("data", "axes fraction"), "textcoords": "offset points"}
            axis.annotate(names, (tick * dt, 1.0), (-2, -3), **place, **style)
        axis.set(xlim=(0, steps * dt), ylim=(-0.08, 1.08), ylabel="discounted return")
        axis.legend(fontsize=8, loc="upper left", labelcolor=INK)
        axis.tick_params(labelbottom=False)
        pictures.imshow(strip, extent=(0, steps * dt, 0, 1), aspect="auto", interpolation="antialiased")
        pictures.set(xlabel="s", yticks=[])
        pictures.xaxis.set_major_locator(MaxNLocator(steps=[1, 2, 5], nbins=12))
        pictures.grid(visible=False)
        pictures.spines[:].set_visible(False)
        return to_svg(drawing)


def _labels(goals: Mapping[str, int], steps: int) -> list[tuple[int, str]]:
    """Where a label begins that names goals: one for several that lie too close for labels of their own."""
    found: list[tuple[int, str]] = []
    for name, tick in sorted(goals.items(), key=lambda goal: goal[1]):
        if found and tick - found[-1][0] < LABEL_WIDTH * steps:
            found[-1] = (found[-1][0], f"{found[-1][1]}, {name}")
        else:
            found.append((tick, name))
    return found
