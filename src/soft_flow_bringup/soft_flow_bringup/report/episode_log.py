"""What the episode node notes down beside its bags: `episodes.jsonl`, one line an episode."""

import json
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from soft_flow_bringup.report.statistics import Rate

LOG_NAME = "episodes.jsonl"
LABELS = ("success", "failure")


class RunDataError(ValueError):
    """A file of a run folder cannot be used; the message names the file and what to do."""


@dataclass(frozen=True)
class EpisodeRecord:
    """One finished episode.

    Attributes:
        outcome: success, failure or discard.
        flags: stage of the task -> whether it was reached.
        steps: control ticks.
        missed: ticks without a valid action in time.
        latency: (steps,) seconds from the tick to the release of its command; empty if not recorded.
        wall_seconds: time that the episode took, reset and writing included.
        bag: folder of its bag, or None.
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
    )


def read_episode_log(folder: Path) -> list[EpisodeRecord]:
    """Episodes of `folder` in the order in which they ran; empty if it has none yet.

    A line that an interrupted run left half-written at the end is dropped.

    Raises:
        RunDataError: another line is not an episode.
    """
    path = folder / LOG_NAME
    if not path.exists():
        return []
    text = path.read_text(encoding="utf-8")
    lines = text.splitlines()
    if lines and not text.endswith("\n"):
        lines = lines[:-1]
    records = []
    for number, line in enumerate(lines, start=1):
        try:
            records.append(_record(json.loads(line), folder))
        except (json.JSONDecodeError, KeyError, TypeError, ValueError) as error:
            raise RunDataError(
                f"{path}, line {number}: not an episode ({error!r}); remove the line, the bags hold the truth"
            ) from error
    return records


def read_episodes(folder: Path) -> list[EpisodeRecord]:
    """Episodes of a folder: its own and those of its parts `part_<i>`, which several graphs recorded.

    Raises:
        RunDataError: a log is broken.
    """
    logs = [folder, *sorted(folder.glob("part_*"))]
    return [record for log in logs if log.is_dir() for record in read_episode_log(log)]


def counted(records: Sequence[EpisodeRecord]) -> list[EpisodeRecord]:
    """Episodes that are trials."""
    return [record for record in records if record.counted]


def stage_rate(records: Sequence[EpisodeRecord], stage: str) -> Rate:
    """How many of the counted episodes reached `stage`."""
    trials = counted(records)
    return Rate(sum(record.reached(stage) for record in trials), len(trials))
