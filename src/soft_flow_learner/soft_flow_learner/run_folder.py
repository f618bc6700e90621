"""The folder of a training run: what it was started with, its checkpoints, its metrics.

run.json                     settings, episodes, plan; enough to continue the run without any other argument
checkpoints/update_00000500  the averaged policy, ready to be rolled out, and what training needs to go on
metrics.jsonl, tensorboard/  one line an update; the same as scalars
policy/                      the averaged policy when the run ends
"""

import json
import os
import shutil
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from soft_flow_contract.strict_model import StrictModel, describe
from soft_flow_contract.task_specification import TaskSpecification
from soft_flow_learner.errors import ResumeError
from soft_flow_learner.imitation import Imitation
from soft_flow_learner.learner_config import LearnerConfig
from soft_flow_learner.learning_schedule import Plan
from soft_flow_policy.checkpoint import Checkpoint, CheckpointError, open_checkpoint, save_checkpoint

STAGE = "imitation"
TRAINING_FILE = "training.safetensors"
KEPT_CHECKPOINTS = 2


class RunSettings(StrictModel):
    """What a run was started with; a resumed run has the same."""

    specification: dict[str, Any]  # the whole task specification
    config: LearnerConfig
    bags: tuple[str, ...]  # absolute
    topic: str
    flag: str | None  # stage that an episode must have reached
    seed: int
    threads: int
    updates: int | None
    minutes: float | None


class RunRecord(StrictModel):
    """Content of run.json."""

    settings: RunSettings
    training_episodes: tuple[str, ...]  # identifiers, in the order of the rows
    held_out_episodes: tuple[str, ...]
    plan: Plan


@dataclass(frozen=True)
class Position:
    """Where a run is: updates done and seconds of training that they took."""

    update: int
    seconds: float


class RunFolder:
    """Reads and writes one run's folder."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.metrics = path / "metrics.jsonl"
        self.tensorboard = path / "tensorboard"
        self.policy = path / "policy"
        self._checkpoints = path / "checkpoints"
        self._record = path / "run.json"

    def begin(self, record: RunRecord) -> None:
        """Make the folder.

        Raises:
            ResumeError: there is a run in it already.
        """
        if self._record.exists():
            raise ResumeError(
                f"{self.path} holds a run already: continue it with --resume, or name another --output"
            )
        self.path.mkdir(parents=True, exist_ok=True)
        self.write_record(record)

    def write_record(self, record: RunRecord) -> None:
        """Write run.json, whole or not at all."""
        temporary = self._record.with_suffix(".partial")
        with temporary.open("w", encoding="utf-8") as file:
            file.write(record.model_dump_json(indent=1))
            file.flush()
            os.fsync(file.fileno())
        temporary.replace(self._record)

    def read_record(self) -> RunRecord:
        """Read run.json.

        Raises:
            ResumeError: it is missing or damaged.
        """
        try:
            data = json.loads(self._record.read_text(encoding="utf-8"))
            return RunRecord.model_validate(data)
        except OSError as error:
            raise ResumeError(
                f"{self._record}: cannot be read ({error.strerror}); nothing to resume there"
            ) from error
        except ValidationError as error:
            raise ResumeError(describe(error, RunRecord, str(self._record))) from error
        except ValueError as error:
            raise ResumeError(f"{self._record}: is not valid JSON: {error}") from error

    def save(self, imitation: Imitation, position: Position) -> Path:
        """Write a checkpoint and delete all but the newest ones."""
        path = save_checkpoint(
            self._checkpoints / f"update_{position.update:08d}",
            imitation.average,
            version=position.update,
            step=position.update,
            stage=STAGE,
            files={TRAINING_FILE: imitation.state()},
            extra={"seconds": position.seconds},
        )
        for old in self._all_checkpoints()[:-KEPT_CHECKPOINTS]:
            shutil.rmtree(old)
        return path

    def export(self, imitation: Imitation, position: Position, extra: Mapping[str, Any]) -> Path:
        """Write the averaged policy alone, as the run's result."""
        return save_checkpoint(
            self.policy,
            imitation.average,
            version=position.update,
            step=position.update,
            stage=STAGE,
            extra=extra,
        )

    def _all_checkpoints(self) -> list[Path]:
        return sorted(self._checkpoints.glob("update_*"))

    def newest_checkpoint(self, specification: TaskSpecification) -> tuple[Checkpoint | None, list[str]]:
        """The newest checkpoint that is whole, and why newer ones were passed over; None if there is none."""
        problems: list[str] = []
        for path in reversed(self._all_checkpoints()):
            try:
                return open_checkpoint(path, specification), problems
            except CheckpointError as error:
                problems.append(str(error))
        return None, problems

    def restore(self, checkpoint: Checkpoint, imitation: Imitation) -> Position:
        """Put a checkpoint's weights and optimizer into `imitation`.

        Raises:
            ResumeError: it has no training state.
        """
        try:
            imitation.load_state(checkpoint.policy().state_dict(), checkpoint.tensors(TRAINING_FILE))
        except (KeyError, CheckpointError) as error:
            raise ResumeError(f"{checkpoint.path}: cannot be trained on: {error}") from error
        return Position(checkpoint.manifest.step, float(checkpoint.manifest.extra["seconds"]))
