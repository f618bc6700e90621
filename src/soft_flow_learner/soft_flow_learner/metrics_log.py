"""Metrics of a run: one JSON line an update, and the same as TensorBoard scalars."""

import json
from pathlib import Path

from torch.utils.tensorboard import SummaryWriter
from typing_extensions import Self

from soft_flow_contract.durable_files import write_durably

TENSORBOARD_INTERVAL = 10  # updates
FLUSH_INTERVAL = 50


class MetricsLog:
    """Appends to `metrics.jsonl`; a resumed run cuts off what lies beyond its checkpoint first.

    Whoever writes a checkpoint flushes before, so that a run that was killed keeps every line up to there.
    """

    def __init__(self, path: Path, tensorboard: Path, update: int) -> None:
        """Continue after `update` updates (0: a new run)."""
        if path.exists():
            _cut(path, update)
        self._file = path.open("a", encoding="utf-8")
        self._writer = SummaryWriter(str(tensorboard), purge_step=update + 1)
        self._lines = 0

    def write(self, update: int, values: dict[str, float]) -> None:
        """Record the values after `update` updates."""
        self._file.write(json.dumps({"update": update, **values}) + "\n")
        self._lines += 1
        if self._lines % FLUSH_INTERVAL == 0 or "held_out_nll" in values:
            self.flush()
        if update % TENSORBOARD_INTERVAL == 0 or "held_out_nll" in values:
            for name, value in values.items():
                self._writer.add_scalar(name, value, update)

    def flush(self) -> None:
        """Hand all lines to the operating system."""
        self._file.flush()

    def close(self) -> None:
        """Write what is left; nothing can be recorded afterwards."""
        self._file.close()
        self._writer.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *error: object) -> None:
        self.close()


class NoLog:
    """Writes nothing: of a process whose metrics another one records."""

    def write(self, update: int, values: dict[str, float]) -> None:
        """See MetricsLog."""

    def flush(self) -> None:
        """See MetricsLog."""

    def close(self) -> None:
        """See MetricsLog."""

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *error: object) -> None:
        pass


def read_metrics(path: Path) -> list[dict[str, float]]:
    """All lines of a metrics file."""
    return [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]


def _cut(path: Path, update: int) -> None:
    """Drop the lines beyond `update` updates, and a torn one, in one step: nothing else can be lost."""
    lines = path.read_text(encoding="utf-8", errors="replace").splitlines()
    kept = [line for line in lines if _update_of(line) <= update]
    write_durably(path, "".join(f"{line}\n" for line in kept).encode())


def _update_of(line: str) -> float:
    try:
        return float(json.loads(line)["update"])
    except (ValueError, KeyError, TypeError):  # cut off by a crash in the middle of a line
        return float("inf")
