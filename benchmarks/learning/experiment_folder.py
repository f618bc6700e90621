"""The folder of one (arm, seed): its settings, the state to go on from, its log, its evaluations."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import safetensors
import safetensors.torch
from torch import Tensor

from learning.whole_file import write_json, write_whole
from soft_flow_contract.strict_model import StrictModel
from soft_flow_contract.task_specification import first_difference
from soft_flow_learner.errors import LearnerError

STAGES = ("imitation", "warmup", "offline", "online")
AVERAGE, WORK = "average.", "work."


class Position(StrictModel):
    """How far an experiment is.

    Attributes:
        stage: of `STAGES`.
        update: updates of that stage that are done.
        seconds: spent so far, by what was done.
    """

    stage: str = STAGES[0]
    update: int = 0
    seconds: dict[str, float] = {}

    def key(self) -> tuple[int, int]:
        """Orders positions."""
        return STAGES.index(self.stage), self.update


class ExperimentFolder:
    """Paths and formats; everything is written whole."""

    def __init__(self, path: Path, settings: Mapping[str, Any]) -> None:
        """Begin in `path`, or continue there with the same settings.

        Raises:
            LearnerError: something else was begun there.
        """
        self.path = path
        file = path / "experiment.json"
        if file.exists():
            difference = first_difference(json.loads(file.read_text(encoding="utf-8")), dict(settings))
            if difference is not None:
                place, there, here = difference
                raise LearnerError(
                    f"{path}: was begun with {place} = {there!r}, now it is {here!r}; choose another "
                    "--output, or delete that folder"
                )
        else:
            write_json(file, settings)

    @property
    def result(self) -> Path:
        """Written when all is done."""
        return self.path / "result.json"

    def rollouts(self, number: int) -> Path:
        """Episodes of an online round."""
        return self.path / f"rollouts_{number:02d}.safetensors"

    def save(self, position: Position, average: Mapping[str, Tensor], work: Mapping[str, Tensor]) -> None:
        """Save the state to go on from."""
        tensors = {AVERAGE + name: value for name, value in average.items()}
        tensors |= {WORK + name: value for name, value in work.items()}
        data = safetensors.torch.save(
            {name: value.detach().contiguous() for name, value in tensors.items()},
            metadata={"position": position.model_dump_json()},
        )
        write_whole(self.path / "state.safetensors", data)

    def load(self) -> tuple[Position, dict[str, Tensor], dict[str, Tensor]] | None:
        """The saved position, averaged policy and state of the work; None if nothing was saved yet."""
        path = self.path / "state.safetensors"
        if not path.exists():
            return None
        with safetensors.safe_open(path, framework="pt") as file:
            position = Position.model_validate_json(file.metadata()["position"])
            tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118 - no mapping
        parts = ({n[len(p) :]: t for n, t in tensors.items() if n.startswith(p)} for p in (AVERAGE, WORK))
        average, work = parts
        return position, average, work

    def evaluation(self, stage: str) -> Path:
        """Results from held-out starts after a stage."""
        return self.path / f"evaluation_{stage}.json"


class ProgressLog:
    """`progress.jsonl`: means of metrics over some updates; a resumed run cuts off what it will repeat."""

    def __init__(self, path: Path, position: Position, interval: int) -> None:
        """Continue at `position`; a line every `interval` updates."""
        self._interval = interval
        self._sums: dict[str, list[float]] = {}
        lines = path.read_text(encoding="utf-8").splitlines() if path.exists() else []
        kept = [line for line in lines if _key(line) <= position.key()]
        path.write_text("".join(f"{line}\n" for line in kept), encoding="utf-8")
        self._file = path.open("a", encoding="utf-8", buffering=1)

    def add(self, position: Position, metrics: Mapping[str, float]) -> None:
        """Take in the metrics of an update."""
        for name, value in metrics.items():
            self._sums.setdefault(name, []).append(value)
        if position.update % self._interval == 0:
            means = {name: float(np.mean(values)) for name, values in self._sums.items()}
            self.write(position, means)
            self._sums.clear()

    def write(self, position: Position, values: Mapping[str, Any]) -> None:
        """Write a line."""
        seconds = round(sum(position.seconds.values()), 1)
        head = {"stage": position.stage, "update": position.update, "seconds": seconds}
        self._file.write(json.dumps({**head, **values}) + "\n")

    def close(self) -> None:
        """Close the file."""
        self._file.close()


def _key(line: str) -> tuple[float, float]:
    try:
        values = json.loads(line)
        return STAGES.index(values["stage"]), values["update"]
    except (ValueError, KeyError):  # cut off in the middle of a line when the process was killed
        return np.inf, np.inf
