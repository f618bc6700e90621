"""Table, picture and figures of the injected faults."""

from collections import Counter
from collections.abc import Sequence
from functools import partial

import numpy as np
from figures import RESULTS, Figure, write_results
from matplotlib.backends.backend_svg import FigureCanvasSVG
from matplotlib.figure import Figure as Plot

from fault_injection.motion import LIMIT_S

WANTED = 200
_figure = partial(Figure, command="./soft-flow bench faults")


def fault_figures(rows: Sequence[dict], broken: Sequence[dict], kinds: int) -> list[Figure]:
    """The figures; see the benchmark.

    Args:
        rows: injections, see Injection.to_row.
        broken: those that could not be carried out, because the graph did not do what it was asked for.
        kinds: how many faults there are.
    """
    tried = [row for row in rows if row["watchdogs"]]
    control = [row for row in rows if not row["watchdogs"]]
    violated = sum(not row["holds"] for row in tried)
    worst = max((row["stop"]["stop_s"] for row in tried), default=0.0)
    unmarked = sum(not row["closed"] for row in tried)
    limit = LIMIT_S * 1e3
    seen = len({row["fault"] for row in tried})
    failed = sum(not row["holds"] for row in control)
    rival = "the same without watchdogs: violated"
    return [
        _figure("faults injected", len(tried), "", f">= {WANTED}", len(tried) >= WANTED, trials=len(tried)),
        _figure("kinds of faults", seen, "", f">= {kinds}", seen >= kinds, trials=len(tried)),
        _figure("violated: motion after 250 ms, motion again, or no marked end", violated, "", "<= 0",
                violated == 0, rival, failed, len(tried)),
        _figure("worst stop, simulated time", round(worst * 1e3, 1), "ms", f"<= {limit:g}",
                worst <= LIMIT_S, trials=len(tried)),
        _figure("episodes not closed or not marked", unmarked, "", "<= 0", unmarked == 0, trials=len(tried)),
        _figure("not carried out: no episode began, or no recovery", len(broken), "",
                trials=len(rows) + len(broken)),
        _figure("without watchdogs: violated", failed, "", ">= 1", failed >= 1, trials=len(control)),
    ]  # fmt: skip


def fault_table(rows: Sequence[dict]) -> str:
    """What was injected, the stops of each, and who stopped the robot."""
    lines = ["| fault | injections | median stop, ms | worst stop, ms | violated | stopped by |"]
    lines += ["| --- | --- | --- | --- | --- | --- |"]
    for name in dict.fromkeys(row["fault"] for row in rows):
        own = [row for row in rows if row["fault"] == name]
        stops = [row["stop"]["stop_s"] * 1e3 for row in own]
        failed = sum(not row["holds"] for row in own)
        lines.append(
            f"| {name} | {len(own)} | {np.median(stops):.0f} | {max(stops):.0f} | "
            f"{f'**{failed}**' if failed else 0} | {_layers(own)} |"
        )
    return "\n".join(lines)


def _layers(rows: Sequence[dict]) -> str:
    """The commonest reasons: of a driver that latched, or with which the arbiter closed the episode."""
    said: Counter[str] = Counter()
    for row in rows:
        reasons = row["layers"] or [row["closed"]]
        said.update({_short(reason) for reason in reasons})
    return "; ".join(text for text, _ in said.most_common(3)).replace("|", "/")


def _short(reason: str) -> str:
    text = "".join("#" if letter.isdigit() else letter for letter in reason)
    while "##" in text:
        text = text.replace("##", "#")
    return text[:170]


def plot_stops(rows: Sequence[dict]) -> Plot:
    """Every stop as a point, by fault; those without watchdogs as crosses."""
    names = list(dict.fromkeys(row["fault"] for row in rows))
    plot = Plot(figsize=(8, 0.28 * len(names) + 1.2), layout="constrained")
    axes = plot.add_subplot()
    random = np.random.default_rng(0)
    for watchdogs, marker, colour, label in ((True, "o", "#0072b2", "as it is"),
                                             (False, "x", "#d55e00", "without watchdogs")):  # fmt: skip
        own = [row for row in rows if row["watchdogs"] == watchdogs]
        height = [names.index(row["fault"]) + random.uniform(-0.25, 0.25) for row in own]
        stops = [row["stop"]["stop_s"] * 1e3 for row in own]
        axes.scatter(stops, height, s=14, marker=marker, color=colour, label=label, alpha=0.7, linewidths=1)
    axes.axvline(LIMIT_S * 1e3, color="#444444", linewidth=1)
    axes.set_yticks(range(len(names)), names, fontsize=8)
    axes.invert_yaxis()
    axes.set_xlabel("simulated time from the fault to the end of motion, ms")
    axes.legend(frameon=False, fontsize=8)
    axes.spines[["top", "right"]].set_visible(False)
    return plot


def write_fault_results(rows: Sequence[dict], broken: Sequence[dict], kinds: int) -> None:
    """Write results/faults.*."""
    RESULTS.mkdir(parents=True, exist_ok=True)
    plot = plot_stops(rows)
    FigureCanvasSVG(plot)
    plot.savefig(RESULTS / "faults.svg", metadata={"Date": None})
    tried = [row for row in rows if row["watchdogs"]]
    control = [row for row in rows if not row["watchdogs"]]
    pace = " and ".join(f"{factor:g}" for factor in sorted({row["realtime_factor"] for row in rows}))
    notes = (
        f"Real drivers on simulated hardware, running freely at {pace} of real time; a fault comes at a "
        "random moment of motion and is undone a little later. Held: motion ends within 250 ms of simulated "
        "time, nothing moves again (also when what was lost comes back), and the episode is closed and "
        "marked as discarded.\n\n"
        f"![Stops](faults.svg)\n\n## As it is\n{fault_table(tried)}\n\n"
        f"## Control: without watchdogs\n{fault_table(control)}"
    )
    write_results("faults", fault_figures(rows, broken, kinds), notes)
