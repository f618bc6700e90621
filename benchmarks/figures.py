"""What every benchmark ends in: figures with goals and rivals, as JSON for machines, a table for people."""

import dataclasses
import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

RESULTS = Path(__file__).resolve().parent / "results"


@dataclass(frozen=True)
class Figure:
    """One measured figure.

    Attributes:
        figure: what was measured, and how it was summarized.
        value: the measurement, in `unit`.
        goal: what it has to reach, such as "<= 2"; empty if it is only reported.
        holds: whether it does; None without a goal.
        rival: what was measured beside it in the same run; empty if nothing was.
        rival_value: its measurement, in `unit`.
        trials: how many measurements are behind the value.
        command: how to get it again.
    """

    figure: str
    value: float
    unit: str
    goal: str = ""
    holds: bool | None = None
    rival: str = ""
    rival_value: float | None = None
    trials: int = 1
    command: str = ""


def _cell(value: object) -> str:
    if isinstance(value, bool):
        return "yes" if value else "**no**"
    if isinstance(value, float):
        return f"{value:.4g}"
    return "" if value is None else str(value)


def table(figures: Sequence[Figure]) -> str:
    """The figures as a Markdown table."""
    names = [field.name for field in dataclasses.fields(Figure)]
    rows = [names, ["---"] * len(names)]
    rows += [[_cell(getattr(figure, name)) for name in names] for figure in figures]
    return "".join("| " + " | ".join(row) + " |\n" for row in rows)


def write_results(name: str, figures: Sequence[Figure], notes: str = "") -> None:
    """Write `results/NAME.json` and `results/NAME.md`, and print the latter."""
    RESULTS.mkdir(parents=True, exist_ok=True)
    rows = [dataclasses.asdict(figure) for figure in figures]
    (RESULTS / f"{name}.json").write_text(json.dumps(rows, indent=1) + "\n", encoding="utf-8")
    text = f"# {name}\n\n{table(figures)}" + (f"\n{notes}\n" if notes else "")
    (RESULTS / f"{name}.md").write_text(text, encoding="utf-8")
    print(text)
