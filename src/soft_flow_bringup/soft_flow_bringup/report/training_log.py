"""What the trainer notes down beside its checkpoints: `metrics.jsonl`, one line an update."""

import json
from dataclasses import dataclass
from pathlib import Path

from soft_flow_bringup.report.episode_log import RunDataError

LOG_NAME = "metrics.jsonl"  # one line an update
TAIL_BYTES = 8192  # hold at least one line
RECORD_NAME = "run.json"  # which episodes were used


@dataclass(frozen=True)
class TrainingLog:
    """The course of a training.

    Attributes:
        updates: (N,) gradient updates at which the loss was noted.
        loss: (N,) negative log-likelihood a dimension of the training data, nat.
        held_out_updates: (M,) updates at which held-out demonstrations were scored.
        held_out: (M,) their log-likelihood a dimension, nat.
        seconds: wall time of the training.
        training_episodes: demonstrations that were trained on.
        held_out_episodes: demonstrations that were kept back.
    """

    updates: tuple[int, ...] = ()
    loss: tuple[float, ...] = ()
    held_out_updates: tuple[int, ...] = ()
    held_out: tuple[float, ...] = ()
    seconds: float = 0.0
    training_episodes: int = 0
    held_out_episodes: int = 0

    @property
    def total_updates(self) -> int:
        """Updates done."""
        return max((*self.updates, *self.held_out_updates), default=0)


def read_rows(path: Path) -> list[dict[str, float]]:
    """The measurements in a trainer's log; a line that is not written to its end yet is left out.

    Raises:
        RunDataError: a line is not a measurement.
    """
    text = path.read_text(encoding="utf-8")
    lines = text.splitlines() if text.endswith("\n") else text.splitlines()[:-1]
    rows = []
    for number, line in enumerate(lines, start=1):
        try:
            row = json.loads(line)
            int(row["update"])
        except (json.JSONDecodeError, KeyError, TypeError, ValueError) as error:
            raise RunDataError(
                f"{path}, line {number}: not a measurement ({error!r}); train again"
            ) from error
        rows.append(row)
    return rows


def last_measurement(path: Path) -> dict[str, float]:
    """The last whole line of a trainer's log that grows; empty if there is none yet."""
    if not path.exists():
        return {}
    with path.open("rb") as file:
        file.seek(max(0, path.stat().st_size - TAIL_BYTES))
        lines = file.read().decode("utf-8", errors="replace").split("\n")[:-1]  # the rest is being written
    whole = [line for line in lines if line.startswith("{") and line.endswith("}")]
    return dict(json.loads(whole[-1])) if whole else {}


def read_training_log(folder: Path) -> TrainingLog | None:
    """The log of the training in `folder`; None if there is none yet.

    Raises:
        RunDataError: a line is not a measurement.
    """
    path = folder / LOG_NAME
    if not path.exists():
        return None
    rows = [(int(row["update"]), row) for row in read_rows(path)]
    losses = [(update, float(row["loss"])) for update, row in rows if "loss" in row]
    scored = [(update, -float(row["held_out_nll"])) for update, row in rows if "held_out_nll" in row]
    return TrainingLog(
        updates=tuple(update for update, _ in losses),
        loss=tuple(value for _, value in losses),
        held_out_updates=tuple(update for update, _ in scored),
        held_out=tuple(value for _, value in scored),
        seconds=max((float(row.get("seconds", 0.0)) for _, row in rows), default=0.0),
        **_episodes(folder / RECORD_NAME),
    )


def _episodes(path: Path) -> dict[str, int]:
    if not path.exists():
        return {}
    try:
        record = json.loads(path.read_text(encoding="utf-8"))
        return {name: len(record[name]) for name in ("training_episodes", "held_out_episodes")}
    except (json.JSONDecodeError, KeyError, TypeError) as error:
        raise RunDataError(f"{path}: not the record of a training ({error!r}); train again") from error
