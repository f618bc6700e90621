"""What logs of a control loop say of a learner that works beside it, and the benchmark's figures."""

import json
import re
from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import numpy as np
from figures import Figure

SOURCE_HOLD = 0  # ExecutedAction.SOURCE_HOLD
ALLOWED_MISSES = 1 / 200
LONGEST_DELAY = 1.0  # s from publication to use
AFTERWARDS = 0.5  # s after weights were taken over in which a missed tick is still laid to them
TAKEN_OVER = re.compile(
    r"\[(?P<used>\d+\.\d+)\] \[policy_node\]: weights version (?P<version>\d+) of run .* in use, "
    r"(?P<delay>[\d.]+) s after they were published"
)
STOPPED = "learning stopped"


@dataclass(frozen=True)
class Takeover:
    """Weights that a policy took over.

    Attributes:
        version: updates behind them.
        used: s since the epoch when the first chunk was planned with them.
        delay: s since they were published.
    """

    version: int
    used: float
    delay: float

    def covers(self, began: np.ndarray) -> np.ndarray:
        """Which ticks (s since the epoch) may have felt them."""
        return (began > self.used - self.delay) & (began < self.used + AFTERWARDS)


@dataclass(frozen=True)
class LoopTicks:
    """Ticks at which the policy was in charge.

    Attributes:
        began: (N,) s since the epoch.
        command: (N,) s from the tick's observation to its command; NaN where one was not seen.
        chunk: (N,) s from the tick to the chunk planned from it; NaN for ticks without.
        missed: (N,) whether there was no valid action in time.
    """

    began: np.ndarray
    command: np.ndarray
    chunk: np.ndarray
    missed: np.ndarray

    @classmethod
    def read(cls, path: Path) -> "LoopTicks":
        """Of a log of `control_loop_node`."""
        ticks = [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]
        ticks = [t for t in ticks if "missed" in t and (t["missed"] or t.get("source") != SOURCE_HOLD)]
        column = {
            name: np.array([tick.get(name, np.nan) for tick in ticks], dtype=float)
            for name in ("observation", "chunk", "command")
        }
        return cls(
            np.array([tick["began"] * 1e-9 for tick in ticks]),
            column["command"] - column["observation"],
            column["chunk"],
            np.array([tick["missed"] for tick in ticks], dtype=bool),
        )

    @classmethod
    def joined(cls, parts: Sequence["LoopTicks"]) -> "LoopTicks":
        """Ticks of several runs."""
        names = ("began", "command", "chunk", "missed")
        return cls(*(np.concatenate([getattr(part, name) for part in parts]) for name in names))

    def __len__(self) -> int:
        return len(self.missed)


def read_takeovers(log: Path) -> list[Takeover]:
    """The takeovers that a graph's output tells of; weights of the untrained first version are left out."""
    found = TAKEN_OVER.finditer(log.read_text(encoding="utf-8", errors="replace"))
    takeovers = [Takeover(int(m["version"]), float(m["used"]), float(m["delay"])) for m in found]
    return [takeover for takeover in takeovers if takeover.version > 0]


def updates_per_second(takeovers: Sequence[Takeover]) -> float:
    """Pace of the learner between the first and the last weights; NaN with fewer than two."""
    if len(takeovers) < 2:
        return float("nan")
    first, last = takeovers[0], takeovers[-1]
    return (last.version - first.version) / (last.used - first.used)


_figure = partial(Figure, command="./soft-flow bench online_loop")
_BARE = "the same without a learner"


def _milliseconds(values: np.ndarray, quantile: float) -> float:
    return round(float(np.nanquantile(values, quantile)) * 1e3, 2)


def loop_figures(learning: LoopTicks, alone: LoopTicks) -> list[Figure]:
    """The loop with the learner at work, beside the same loop without."""
    allowed = int(len(learning) * ALLOWED_MISSES)
    missed = int(learning.missed.sum())
    share = 100 * alone.missed.mean()
    figures = [
        _figure(
            "missed deadlines with the learner at work", missed, "ticks", f"<= {allowed} of {len(learning)}",
            missed <= allowed, f"{_BARE}, of {len(alone)}", int(alone.missed.sum()), len(learning),
        ),
        _figure(
            "missed deadlines with the learner at work", round(100 * learning.missed.mean(), 3), "%", "< 0.5",
            bool(learning.missed.mean() < ALLOWED_MISSES), _BARE, round(share, 3), len(learning),
        ),
    ]  # fmt: skip
    for name in ("command", "chunk"):
        what = "observation to command" if name == "command" else "tick to chunk"
        values, rival = getattr(learning, name), getattr(alone, name)
        trials = int(np.isfinite(values).sum())
        figures += [
            _figure(
                f"{what}, {label}", _milliseconds(values, quantile), "ms", rival=_BARE,
                rival_value=_milliseconds(rival, quantile), trials=trials,
            )
            for label, quantile in (("p50", 0.5), ("p99", 0.99))
        ]  # fmt: skip
    return figures


def weights_figures(takeovers: Sequence[Takeover], learning: LoopTicks, megabytes: float) -> list[Figure]:
    """How long weights are under way, and whether the loop feels them; none without any takeover."""
    if not takeovers:
        return []
    delays = np.array([takeover.delay for takeover in takeovers])
    near = np.any([takeover.covers(learning.began) for takeover in takeovers], axis=0)
    elsewhere = float(learning.missed[~near].mean()) if (~near).any() else 0.0
    felt, expected = int(learning.missed[near].sum()), elsewhere * int(near.sum())
    size = f"{megabytes:.1f} MB"
    return [
        _figure(f"weights published to used, {size}, p50", round(float(np.median(delays)), 2), "s",
                trials=len(delays)),
        _figure(f"weights published to used, {size}, longest", float(delays.max()), "s",
                f"< {LONGEST_DELAY:g}", bool(delays.max() < LONGEST_DELAY), trials=len(delays)),
        _figure(f"missed deadlines from publication to {AFTERWARDS:g} s after the first use", felt, "ticks",
                "0, or no more than elsewhere", bool(felt <= expected),
                "in as many ticks elsewhere", round(expected, 2), int(near.sum())),
    ]  # fmt: skip
