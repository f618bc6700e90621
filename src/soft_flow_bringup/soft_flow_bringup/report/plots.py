"""The plots of reports and benchmarks. Each takes plain numbers and returns a matplotlib figure as SVG."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.ticker import MaxNLocator, NullFormatter, PercentFormatter, StrMethodFormatter

from soft_flow_bringup.report.figure_style import BLUE, COLOURS, GREEN, INK, MUTED, RED, figure, to_svg
from soft_flow_bringup.report.statistics import Rate


def draw_rates(axis: Axes, rates: Mapping[str, Mapping[str, Rate]]) -> None:
    """Rates (stage -> who -> rate) as horizontal dots with Wilson intervals, grouped by stage."""
    row, ticks, labels = 0.0, [], []
    for stage, by_who in rates.items():
        ticks.append(row)
        labels.append((stage, True))
        row += 0.85
        for who, rate in by_who.items():
            ticks.append(row)
            labels.append((who, False))
            if rate.trials:
                bounds, colour = rate.wilson(), COLOURS.get(who, INK)
                axis.plot([bounds.low, bounds.high], [row, row], color=colour, linewidth=7, alpha=0.25,
                          solid_capstyle="round")  # fmt: skip
                axis.plot(rate.value, row, "o", color=colour, markersize=9)
                label: dict[str, Any] = {"ha": "center", "fontsize": 9, "color": colour, "fontweight": "bold"}
                offset: dict[str, Any] = {"xytext": (0, 8), "textcoords": "offset points"}
                axis.annotate(f"{rate.value:.0%}", (rate.value, row), **offset, **label)
                counts = f"{rate.successes} of {rate.trials}"
                axis.annotate(
                    counts, (1.04, row), va="center", fontsize=9, color=MUTED, annotation_clip=False
                )
            row += 1.0
        row += 0.35
    axis.set(xlim=(-0.02, 1.02), ylim=(row - 0.6, -0.5))
    axis.set_yticks(ticks, [text for text, _ in labels])
    for (_, is_stage), tick in zip(labels, axis.get_yticklabels(), strict=True):
        tick.set_fontweight("bold" if is_stage else "normal")
    axis.xaxis.set_major_formatter(PercentFormatter(1.0))
    axis.grid(axis="y", visible=False)


def plot_rates(rates: Mapping[str, Mapping[str, Rate]]) -> str:
    """Success rates by stage and by who acted, with 95 % Wilson intervals."""
    rows = sum(1.35 + len(by_who) for by_who in rates.values())
    with figure(8.2, 0.6 + 0.42 * rows) as (drawing, (axis,)):
        draw_rates(axis, rates)
        return to_svg(drawing)


def running_median(values: np.ndarray, width: int = 15) -> np.ndarray:
    """Median over a centred window, shorter at the ends."""
    half = width // 2
    return np.array([np.median(values[max(0, i - half) : i + half + 1]) for i in range(len(values))])


def draw_latency(axis: Axes, latency: np.ndarray, phase: float, tick: float) -> None:
    """Histogram of latencies (s) in milliseconds with the command phase and the tick marked."""
    milliseconds = latency * 1e3
    edges = np.linspace(0, max(tick * 1e3, float(milliseconds.max()) * 1.05), 51)
    axis.hist(milliseconds, bins=edges.tolist(), color=BLUE, alpha=0.85)
    for value, text, colour in ((phase * 1e3, "release", GREEN), (tick * 1e3, "next tick", RED)):
        axis.axvline(value, color=colour, linewidth=1.5, linestyle="--")
        offset: dict[str, Any] = {
            "xycoords": ("data", "axes fraction"),
            "xytext": (-4, -4),
            "textcoords": "offset points",
        }
        label: dict[str, Any] = {"fontsize": 9, "rotation": 90, "va": "top", "ha": "right", "color": colour}
        axis.annotate(text, (value, 1.0), **offset, **label)
    axis.set_yscale("log")
    axis.set_ylim(bottom=0.7)
    axis.yaxis.set_major_formatter(StrMethodFormatter("{x:,g}"))
    axis.yaxis.set_minor_formatter(NullFormatter())
    axis.set(xlabel="ms after the tick", ylabel="ticks (log)")
    axis.grid(axis="x", visible=False)


def plot_control_loop(latency: np.ndarray, missed: Sequence[int], phase: float, tick: float) -> str:
    """Latency from observation to command, and missed deadlines by episode."""
    with figure(9.4, 3.1, columns=2) as (drawing, (left, right)):
        if latency.size:
            draw_latency(left, latency, phase, tick)
        else:
            left.text(
                0.5, 0.5, "not recorded", ha="center", va="center", color=MUTED, transform=left.transAxes
            )
        left.set_title("Tick to command")
        counts = np.bincount(np.asarray(missed, dtype=int)) if len(missed) else np.zeros(1, dtype=int)
        right.bar(np.arange(len(counts)), counts, color=BLUE, alpha=0.85, width=0.8)
        right.set(title="Missed deadlines", xlabel="missed ticks in an episode", ylabel="episodes")
        right.xaxis.set_major_locator(MaxNLocator(integer=True))
        right.yaxis.set_major_locator(MaxNLocator(integer=True))
        right.set_xlim(-0.8, max(4, len(counts)) - 0.2)
        right.grid(axis="x", visible=False)
        return to_svg(drawing)


def plot_loop_histograms(
    to_command: np.ndarray, to_chunk: np.ndarray, bare: np.ndarray, phase: float, tick: float
) -> str:
    """Observation to command, tick to chunk, lateness of a bare loop on the same machine; all in s."""
    with figure(11.5, 3.1, columns=3) as (drawing, (left, middle, right)):
        panels = (
            (left, to_command, "Observation to command"),
            (middle, to_chunk, "Tick to planned chunk"),
            (right, bare, "Bare loop: woken late by"),
        )
        for axis, values, title in panels:
            draw_latency(axis, values[np.isfinite(values)], phase, tick)
            axis.set_title(title)
        right.set(xlabel="ms")
        left.set(xlabel="ms after the observation")
        return to_svg(drawing)
