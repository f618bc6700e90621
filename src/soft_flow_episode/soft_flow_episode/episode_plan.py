"""Which episodes are still to be recorded into an output folder, and when to give up."""

import json
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from soft_flow_contract.durable_files import append_durably
from soft_flow_contract.errors import ContractError

LOG_NAME = "episodes.jsonl"
RECORDING = ".recording"
DISCARD = "discard"
LABELS = ("success", "failure", DISCARD)


class OutputError(ContractError):
    """The output folder cannot be used."""


@dataclass(frozen=True)
class EpisodeLine:
    """What `episodes.jsonl` says of an episode.

    Attributes:
        outcome: success, failure or discard; the corrected one if the label was corrected.
        missed: ticks without a valid action in time.
        latency: seconds from each tick to the release of its command; empty in lockstep.
        wall_seconds: reset and writing included.
        bag: name of its folder; None if it was not kept.
        recorded_outcome: the outcome before the label was corrected; None if it never was.
    """

    id: str
    seed: int
    outcome: str
    reason: str = ""
    flags: dict[str, bool] = field(default_factory=dict)
    steps: int = 0
    missed: int = 0
    latency: list[float] = field(default_factory=list)
    wall_seconds: float = 0.0
    bag: str | None = None
    grasp_assist: bool | None = None
    recorded_outcome: str | None = None


def recorded_outcome(line: Mapping[str, Any]) -> str:
    """The outcome with which an episode was recorded, by its line of `episodes.jsonl`."""
    return str(line.get("recorded_outcome") or line["outcome"])


def read_lines(folder: Path, name: str = LOG_NAME) -> list[dict[str, Any]]:
    """Lines of `episodes.jsonl` (or another log); the half-written last one of a crash is cut off the file.

    Raises:
        OutputError: another line is broken.
    """
    path = folder / name
    if not path.exists():
        return []
    data = path.read_bytes()
    whole = data[: data.rfind(b"\n") + 1]
    if len(whole) < len(data):
        with path.open("r+b") as file:
            file.truncate(len(whole))
    lines = []
    for number, line in enumerate(whole.splitlines(), start=1):
        try:
            lines.append(json.loads(line))
        except json.JSONDecodeError as error:
            raise OutputError(f"{path}, line {number}: not JSON ({error}); remove the line") from error
    return lines


def append_line(folder: Path, line: EpisodeLine) -> None:
    """Add an episode to `episodes.jsonl`, on the disk when this returns."""
    append_durably(folder / LOG_NAME, json.dumps(asdict(line), separators=(",", ":")))


def leftovers(folder: Path) -> list[Path]:
    """Recordings that a crash left unfinished."""
    recording = folder / RECORDING
    return sorted(recording.iterdir()) if recording.is_dir() else []


def bag_seeds(folder: Path) -> list[int]:
    """Seeds in the names of the bags of a folder (see `bag_writer.bag_name`)."""
    seeds = []
    for path in folder.glob("seed-*-*"):
        part = path.name.split("-")[1]
        if path.is_dir() and part.isdigit():
            seeds.append(int(part))
    return seeds


class EpisodePlan:
    """Counts episodes: seeds go up from `first_seed`, those already recorded are not repeated."""

    def __init__(self, episodes: int, first_seed: int, max_invalid: int) -> None:
        """Record `episodes` valid ones; give up after `max_invalid` invalid ones."""
        self.episodes, self.next_seed, self.max_invalid = episodes, first_seed, max_invalid
        self.valid = self.invalid = 0

    def resume(self, lines: Iterable[dict[str, Any]], seeds: Iterable[int] = ()) -> None:
        """Continue after the episodes of a folder; invalid ones of earlier runs are not held against it."""
        for line in lines:
            self.valid += recorded_outcome(line) != DISCARD
            self.next_seed = max(self.next_seed, int(line["seed"]) + 1)
        self.next_seed = max([self.next_seed, *(seed + 1 for seed in seeds)])

    def take_seed(self) -> int:
        """The seed of the next episode."""
        seed, self.next_seed = self.next_seed, self.next_seed + 1
        return seed

    def finish(self, outcome: str) -> None:
        """Count an episode that ended as success, failure or discard."""
        if outcome == DISCARD:
            self.invalid += 1
        else:
            self.valid += 1

    @property
    def index(self) -> int:
        """Number (from 0) of the episode that runs or comes next."""
        return self.valid

    @property
    def done(self) -> bool:
        """Whether all episodes are there."""
        return self.valid >= self.episodes

    @property
    def failed(self) -> str:
        """Why to give up; empty to go on."""
        if self.invalid < self.max_invalid or self.done:
            return ""
        return (
            f"{self.invalid} invalid episodes (limit {self.max_invalid}), {self.valid} of {self.episodes} "
            "recorded; see the reasons above"
        )
