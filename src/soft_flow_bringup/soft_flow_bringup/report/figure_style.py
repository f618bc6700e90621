"""One look for all figures: light, quiet, colour-blind safe (Okabe and Ito's palette)."""

import base64
import io
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import matplotlib

matplotlib.use("Agg")

import matplotlib.pyplot as plt
from matplotlib.axes import Axes
from matplotlib.figure import Figure

BLUE, ORANGE, GREEN, RED, PURPLE = "#0072B2", "#E69F00", "#009E73", "#D55E00", "#CC79A7"
SKY = "#56B4E9"
INK, MUTED, GRID = "#1f2933", "#66727f", "#e3e8ee"
COLOURS = {"operator": BLUE, "policy": RED, "policy without images": MUTED}

STYLE: Any = {  # names of matplotlib settings
    "font.family": "DejaVu Sans",
    "font.size": 10,
    "axes.titlesize": 11,
    "axes.titleweight": "bold",
    "axes.titlelocation": "left",
    "axes.titlepad": 10,
    "axes.labelcolor": MUTED,
    "axes.edgecolor": "#c5cdd6",
    "axes.linewidth": 0.8,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.grid": True,
    "axes.axisbelow": True,
    "grid.color": GRID,
    "grid.linewidth": 0.8,
    "text.color": INK,
    "xtick.color": MUTED,
    "ytick.color": MUTED,
    "xtick.labelcolor": INK,
    "ytick.labelcolor": INK,
    "xtick.major.size": 0,
    "ytick.major.size": 0,
    "legend.frameon": False,
    "figure.facecolor": "white",
    "savefig.facecolor": "white",
    "svg.hashsalt": "soft-flow",  # the same data give the same file
}


@contextmanager
def figure(
    width: float, height: float, columns: int = 1, rows: int = 1, heights: Sequence[float] | None = None
) -> Iterator[tuple[Figure, list[Axes]]]:
    """A styled figure (inches) with its axes in reading order; closed at the end.

    `heights` are the relative ones of its rows, all the same by default.
    """
    with plt.rc_context(STYLE):
        drawing, axes = plt.subplots(
            rows, columns, figsize=(width, height), squeeze=False, layout="constrained", height_ratios=heights
        )
        try:
            yield drawing, list(axes.flat)
        finally:
            plt.close(drawing)


def to_svg(drawing: Figure) -> str:
    """The figure as an SVG element for inlining in HTML, scaling with the page."""
    buffer = io.StringIO()
    drawing.savefig(buffer, format="svg", metadata={"Date": None})
    text = buffer.getvalue()
    return text[text.index("<svg") :]


def to_png(drawing: Figure, dpi: int = 160) -> bytes:
    """The figure as PNG."""
    buffer = io.BytesIO()
    drawing.savefig(buffer, format="png", dpi=dpi)
    return buffer.getvalue()


def data_uri(data: bytes, kind: str) -> str:
    """Bytes as a data URI of MIME type `kind`, so that a page needs no other file."""
    return f"data:{kind};base64,{base64.b64encode(data).decode('ascii')}"
