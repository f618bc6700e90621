"""What the episode node notes down beside its bags: `episodes.jsonl`, one line an episode."""

import json
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from soft_flow_bringup.report.statistics import Rate
from soft_flow_learner.errors import BagError
from soft_flow_learner.stream.label_corrections import FILE_NAME, LabelCorrections, read_corrections

LOG_NAME = "episodes.jsonl"
LABELS = ("success", "failure")


class RunDataError(ValueError):
    """A file of a run folder cannot be used; the message names the file and what to do."""


@dataclass(frozen=True)
class EpisodeRecord:
    """One finished episode.

    Attributes:
        outcome: success, failure or discard: the label that counts.
        flags: stage of the task -> whether it was reached.
        steps: control ticks.
        missed: ticks without a valid action in time.
        latency: (steps,) seconds from the tick to the release of its command; empty if not recorded.
        wall_seconds: time that the episode took, reset and writing included.
        bag: folder of its bag, or None.
        recorded_outcome: the label before a person corrected it; empty if no one did.
        corrected_by: who corrected it.
    """

    episode_id: str
    seed: int
    outcome: str
    reason: str = ""
    flags: dict[str, bool] = field(default_factory=dict)
    steps: int = 0
    missed: int = 0
    latency: tuple[float, ...] = ()
    wall_seconds: float = 0.0
    bag: Path | None = None
    grasp_assist: bool | None = None
    recorded_outcome: str = ""
    corrected_by: str = ""

    @property
    def counted(self) -> bool:
        """Whether it is a trial: discarded episodes (a fault of the graph or the world) are not."""
        return self.outcome in LABELS

    def reached(self, stage: str) -> bool:
        """Whether `stage` was reached."""
        return self.flags.get(stage, False)


def _record(data: dict[str, Any], folder: Path) -> EpisodeRecord:
    bag = Path(data["bag"]) if data.get("bag") else None
    if bag is not None and not bag.exists():
        bag = folder / bag.name  # the folder was moved, or the path is relative to it
    return EpisodeRecord(
        episode_id=str(data["id"]),
        seed=int(data["seed"]),
        outcome=str(data["outcome"]),
        reason=str(data.get("reason", "")),
        flags={str(name): bool(value) for name, value in data.get("flags", {}).items()},
        steps=int(data.get("steps", 0)),
        missed=int(data.get("missed", 0)),
        latency=tuple(float(value) for value in data.get("latency", ())),
        wall_seconds=float(data.get("wall_seconds", 0.0)),
        bag=bag if bag is not None and bag.exists() else None,
        grasp_assist=data.get("grasp_assist"),
        recorded_outcome=str(data.get("recorded_outcome") or ""),
    )


def _corrected(record: EpisodeRecord, corrections: LabelCorrections, success_flag: str) -> EpisodeRecord:
    """The record with the label that counts; with its stage of success, if it has that, as the label says."""
    correction = corrections.of(record.episode_id)
    if correction is not None:
        record = replace(
            record,
            outcome=correction.outcome,
            recorded_outcome=record.recorded_outcome or record.outcome,
            corrected_by=correction.source,
        )
    if record.recorded_outcome in ("", record.outcome) or success_flag not in record.flags:
        return record
    return replace(record, flags={**record.flags, success_flag: record.outcome == "success"})


def _corrections(folder: Path) -> LabelCorrections:
    try:
        return LabelCorrections(read_corrections(folder / FILE_NAME))
    except BagError as error:
        raise RunDataError(str(error)) from error


def read_episode_log(folder: Path, success_flag: str = "") -> list[EpisodeRecord]:
    """Episodes of `folder` in the order in which they ran, with corrected labels; empty if it has none yet.

    A line that an interrupted run left half-written at the end is dropped.

    Args:
        folder: of the bags.
        success_flag: stage of the task that means success, which follows a corrected label.

    Raises:
        RunDataError: another line is not an episode, or not a correction.
    """
    path = folder / LOG_NAME
    if not path.exists():
        return []
    corrections = _corrections(folder)
    text = path.read_text(encoding="utf-8")
    lines = text.splitlines()
    if lines and not text.endswith("\n"):
        lines = lines[:-1]
    records = []
    for number, line in enumerate(lines, start=1):
        try:
            records.append(_corrected(_record(json.loads(line), folder), corrections, success_flag))
        except (json.JSONDecodeError, KeyError, TypeError, ValueError) as error:
            raise RunDataError(
                f"{path}, line {number}: not an episode ({error!r}); remove the line, the bags hold the truth"
            ) from error
    return records


def read_episodes(folder: Path, success_flag: str = "") -> list[EpisodeRecord]:
    """Episodes of a folder: its own and those of its parts `part_<i>`, which several graphs recorded.

    Arguments and errors as of `read_episode_log`.
    """
    logs = [folder, *sorted(folder.glob("part_*"))]
    return [record for log in logs if log.is_dir() for record in read_episode_log(log, success_flag)]


def counted(records: Sequence[EpisodeRecord]) -> list[EpisodeRecord]:
    """Episodes that are trials."""
    return [record for record in records if record.counted]


def stage_rate(records: Sequence[EpisodeRecord], stage: str) -> Rate:
    """How many of the counted episodes reached `stage`."""
    trials = counted(records)
    return Rate(sum(record.reached(stage) for record in trials), len(trials))
