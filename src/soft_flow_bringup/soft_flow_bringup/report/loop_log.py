"""Wall times of a control loop as `control_loop_node` noted them: one JSON line a tick."""

import json
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from soft_flow_bringup.report.episode_log import RunDataError

LOG_NAME = "loop.jsonl"
SOURCE_HOLD = 0  # ExecutedAction.SOURCE_HOLD


@dataclass(frozen=True)
class LoopLog:
    """Ticks at which the policy or an operator was in charge.

    Attributes:
        observation: (N,) s from the tick to its observation; NaN where none was seen.
        chunk: (M,) s from the tick to the chunk planned from its observation, of the ticks that had one.
        command: (N,) s from the tick to its command; NaN where none was seen.
        missed: (N,) whether the arbiter had no valid action in time.
    """

    observation: np.ndarray
    chunk: np.ndarray
    command: np.ndarray
    missed: np.ndarray

    @property
    def latency(self) -> np.ndarray:
        """The command latencies that were seen."""
        return self.command[np.isfinite(self.command)]

    @property
    def ticks(self) -> int:
        """Number of ticks."""
        return len(self.missed)


def read_loop_log(path: Path) -> LoopLog | None:
    """The log at `path`; None if there is none.

    Raises:
        RunDataError: a line is not a tick.
    """
    if not path.exists():
        return None
    text = path.read_text(encoding="utf-8")
    lines = text.splitlines() if text.endswith("\n") else text.splitlines()[:-1]
    try:
        ticks = [json.loads(line) for line in lines]
    except json.JSONDecodeError as error:
        raise RunDataError(f"{path}: not the log of a control loop ({error}); run it again") from error
    active = [t for t in ticks if "missed" in t and (t["missed"] or t.get("source") != SOURCE_HOLD)]
    column = {
        name: np.array([tick.get(name, np.nan) for tick in active], dtype=float)
        for name in ("observation", "chunk", "command")
    }
    chunk = column["chunk"][np.isfinite(column["chunk"])]
    missed = np.array([tick["missed"] for tick in active], dtype=bool)
    return LoopLog(column["observation"], chunk, column["command"], missed)
