"""The course of learning over its stages: imitation, critic warm-up, offline RL, online RL."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from soft_flow_bringup.report.run_folder import RunFolder
from soft_flow_bringup.report.training_log import read_rows
from soft_flow_learner.run_folder import IMITATION, StageFolder
from soft_flow_learner.run_folder import RunFolder as LearnerFolder
from soft_flow_policy.checkpoint import open_checkpoint

LEARNING = ("imitation", "warmup", "offline", "online")
NAMES = {"imitation": "imitation", "warmup": "critic warm-up", "offline": "offline RL", "online": "online RL"}
NLL, HELD_OUT, ACTOR_MARK = "nll", "held_out_nll", "q_policy"


@dataclass(frozen=True)
class Course:
    """A measurement over a stage.

    Attributes:
        seconds: (N,) of the stage's training.
        values: (N,).
    """

    seconds: np.ndarray
    values: np.ndarray


@dataclass(frozen=True)
class StageLog:
    """What one stage did.

    Attributes:
        name: one of `LEARNING`.
        updates: gradient updates.
        seconds: that they took; NaN if that was not noted.
        courses: name of a measurement -> its course; empty where only the result was kept.
    """

    name: str
    updates: int
    seconds: float
    courses: Mapping[str, Course] = field(default_factory=dict)

    def course(self, name: str) -> Course:
        """The course of a measurement, without points if it was not measured."""
        return self.courses.get(name, Course(np.empty(0), np.empty(0)))

    def last(self, name: str, count: int = 50) -> float:
        """Mean of its last values; NaN if it was not measured."""
        values = self.course(name).values
        return float(values[-count:].mean()) if len(values) else float("nan")


def _courses(rows: Sequence[Mapping[str, float]], imitation: bool) -> dict[str, Course]:
    """Measurements by name; imitation's loss is the likelihood that the other stages note as `nll`."""
    names = {name for row in rows for name in row} - {"update", "seconds"}
    courses = {}
    for name in sorted(names):
        points = [(row["seconds"], row[name]) for row in rows if name in row and "seconds" in row]
        seconds, values = np.array(points, dtype=float).reshape(-1, 2).T
        courses[name] = Course(seconds, values)
    if imitation and "loss" in courses:
        courses[NLL] = courses.pop("loss")
    if ACTOR_MARK not in courses and "beta" in courses:
        del courses["beta"]  # the actor is frozen: nothing is weighted
    return courses


def _stage_log(run: RunFolder, stage: str) -> StageLog | None:
    metrics = stage_folder(run, stage).metrics
    if metrics.exists():
        rows = read_rows(metrics)
        updates = max((int(row["update"]) for row in rows), default=0)
        seconds = max((float(row.get("seconds", 0.0)) for row in rows), default=0.0)
        return StageLog(stage, updates, seconds, _courses(rows, stage == IMITATION))
    if run.policy(stage).exists():
        return StageLog(stage, open_checkpoint(run.policy(stage)).manifest.step, float("nan"))
    return None


def stage_folder(run: RunFolder, stage: str) -> StageFolder:
    """Where the learner keeps a stage."""
    return LearnerFolder(run.learner if stage == "online" else run.training).stage(stage)


def read_stage_logs(run: RunFolder) -> list[StageLog]:
    """The stages that were begun, in order.

    Raises:
        RunDataError: a log is broken.
        CheckpointError: a policy is damaged.
    """
    logs = (_stage_log(run, stage) for stage in LEARNING)
    return [log for log in logs if log is not None]


def newest_stage(run: RunFolder) -> Path | None:
    """The metrics of the stage that is being trained from bags, or was last; None before the first."""
    paths = [stage_folder(run, stage).metrics for stage in LEARNING[:-1]]
    return next((path for path in reversed(paths) if path.exists()), None)
