"""The folder of a training run: what it was started with, and for each stage its checkpoints and metrics.

run.json                     settings, episodes, plans; enough to continue the run without any other argument
policy/                      the averaged policy of the run's last stage: what is rolled out

of imitation directly in the run's folder, of every other stage in stages/NAME:
checkpoints/update_00000500  the averaged policy, ready to be rolled out, and what training needs to go on
metrics.jsonl, tensorboard/  one line an update; the same as scalars
policy/                      the averaged policy when the stage ends (of imitation: in stages/imitation), and
                             the critic of a later one: as a graph that chooses, as weights to go on with
"""

import json
import shutil
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pydantic import ValidationError

from soft_flow_contract.durable_files import write_durably
from soft_flow_contract.strict_model import StrictModel, describe
from soft_flow_contract.task_specification import TaskSpecification
from soft_flow_learner.algorithm.critic_state import CRITIC_WEIGHTS
from soft_flow_learner.errors import ResumeError
from soft_flow_learner.learner_config import LearnerConfig
from soft_flow_learner.learning_schedule import Plan
from soft_flow_learner.metrics_log import MetricsLog, NoLog
from soft_flow_policy.checkpoint import (
    MANIFEST,
    Checkpoint,
    CheckpointError,
    open_checkpoint,
    replace_folder,
    save_checkpoint,
)

if TYPE_CHECKING:
    from soft_flow_learner.trainer import StageWork

IMITATION = "imitation"
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
    stages: tuple[str, ...] = (IMITATION,)
    policy: str | None = None  # checkpoint that a run without imitation begins with
    updates: dict[str, int] = {}  # of a stage, instead of the configuration's
    minutes: dict[str, float] = {}  # of a stage, instead of a number of updates


class RunRecord(StrictModel):
    """Content of run.json."""

    settings: RunSettings
    training_episodes: tuple[str, ...]  # identifiers, in the order of the rows
    held_out_episodes: tuple[str, ...]
    plans: dict[str, Plan]  # of each stage that was begun


@dataclass(frozen=True)
class Position:
    """Where a run is: updates done and seconds of training that they took."""

    update: int
    seconds: float


class RunFolder:
    """Reads and writes one run's folder."""

    def __init__(self, path: Path, writes: bool = True) -> None:
        """Of a run in `path`; with `writes` False, of a process that only looks on, nothing is written."""
        self.path, self.writes = path, writes
        self.policy = path / "policy"
        self._record = path / "run.json"

    def stage(self, name: str) -> "StageFolder":
        """Where a stage's checkpoints and metrics are."""
        own = self.path / "stages" / name
        return StageFolder(name, self.path if name == IMITATION else own, own / "policy", self.writes)

    def begin(self, record: RunRecord) -> None:
        """Make the folder.

        Raises:
            ResumeError: there is a run in it already.
        """
        if not self.writes:
            return
        if self._record.exists():
            raise ResumeError(
                f"{self.path} holds a run already: continue it with --resume, or name another --output"
            )
        self.path.mkdir(parents=True, exist_ok=True)
        self.write_record(record)

    def write_record(self, record: RunRecord) -> None:
        """Write run.json, whole or not at all."""
        if not self.writes:
            return
        write_durably(self._record, record.model_dump_json(indent=1).encode())

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

    def publish(self, stage: str) -> None:
        """Make a stage's policy the policy of the run, atomically.

        Raises:
            CheckpointError: the stage has no whole policy.
        """
        if not self.writes:
            return
        source = open_checkpoint(self.stage(stage).policy).path
        partial = Path(tempfile.mkdtemp(prefix=".policy.", dir=self.path))
        shutil.copytree(source, partial, dirs_exist_ok=True)
        replace_folder(partial, self.policy)


class StageFolder:
    """Reads and writes what belongs to one stage."""

    def __init__(self, name: str, path: Path, policy: Path, writes: bool = True) -> None:
        self.name, self.path, self.policy, self.writes = name, path, policy, writes
        self.metrics = path / "metrics.jsonl"
        self.tensorboard = path / "tensorboard"
        self._checkpoints = path / "checkpoints"

    @property
    def finished(self) -> bool:
        """Whether the stage was trained to its end."""
        return (self.policy / MANIFEST).exists()

    def log(self, update: int) -> MetricsLog | NoLog:
        """The log of a stage that goes on after `update` updates."""
        if not self.writes:
            return NoLog()
        self.path.mkdir(parents=True, exist_ok=True)
        return MetricsLog(self.metrics, self.tensorboard, update)

    def save(self, work: "StageWork", position: Position) -> None:
        """Write a checkpoint and delete all but the newest ones."""
        if not self.writes:
            return
        save_checkpoint(
            self._checkpoints / f"update_{position.update:08d}",
            work.average,
            version=position.update,
            step=position.update,
            stage=self.name,
            files={TRAINING_FILE: work.state()},
            extra={"seconds": position.seconds},
        )
        for old in self._all_checkpoints()[:-KEPT_CHECKPOINTS]:
            shutil.rmtree(old)

    def export(self, work: "StageWork", position: Position, extra: Mapping[str, Any]) -> None:
        """Write the averaged policy, and the critic if there is one, as the stage's result."""
        if not self.writes:
            return
        critic = work.critic_weights()
        save_checkpoint(
            self.policy,
            work.average,
            version=position.update,
            step=position.update,
            stage=self.name,
            files={CRITIC_WEIGHTS: critic} if critic is not None else None,
            critic=work.critic_graph(),
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

    def restore(self, checkpoint: Checkpoint, work: "StageWork") -> Position:
        """Put a checkpoint's weights and optimizer into `work`.

        Raises:
            ResumeError: it has no training state.
        """
        try:
            work.load_state(checkpoint.policy().state_dict(), checkpoint.tensors(TRAINING_FILE))
        except (KeyError, CheckpointError) as error:
            raise ResumeError(f"{checkpoint.path}: cannot be trained on: {error}") from error
        return Position(checkpoint.manifest.step, float(checkpoint.manifest.extra["seconds"]))
