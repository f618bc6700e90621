"""The replay: whole checked episodes in a ring of rows. Bags are the truth; this is a cache of them."""

import hashlib
import json
from collections.abc import Iterable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import cast, get_args

from soft_flow_learner.episode import LABELS, Episode, Source
from soft_flow_learner.errors import EpisodeError, LearnerError
from soft_flow_learner.replay.step_layout import StepLayout
from soft_flow_learner.replay.step_storage import EpisodeSteps, StepStorage
from soft_flow_learner.sparse_reward import follow_label

SOURCES: tuple[str, ...] = get_args(Source)


@dataclass(frozen=True)
class StoredEpisode:
    """Where an episode lies, and what filters ask about it.

    Attributes:
        identifier: UUID of the episode.
        first_row: row of its first step.
        length: N actions; it occupies N + 1 rows, the last of which has only an observation.
        outcome: "success" or "failure".
        terminal: its last action ended the task (False: the time limit did).
        source: who acted in it.
        reached: stages that it reached; with "success" if that is its outcome.
        number: how many episodes were added to the buffer before: no other one ever has it.
    """

    identifier: str
    first_row: int
    length: int
    outcome: str
    terminal: bool
    source: Source
    reached: frozenset[str]
    number: int

    @property
    def last_row(self) -> int:
        """Row of the last observation."""
        return self.first_row + self.length


class ReplayBuffer:
    """A ring of steps that forgets the oldest episodes, each as a whole.

    The rows of an episode are contiguous: one that does not fit before the end of the ring starts at row 0.
    Not for several threads: add between updates.

    Attributes:
        layout: of what a step consists.
        capacity: number of rows.
        steps: the arrays; read only.
        version: changes whenever the content does.
        total_added: episodes that were ever added.
        nbytes: bytes of all rows, used or not.
    """

    def __init__(self, layout: StepLayout, capacity: int, folder: Path | None = None) -> None:
        """Make an empty buffer of `capacity` rows, in memory or in memory-mapped files in `folder`.

        Raises:
            LearnerError: the capacity is not positive, or the disk is too small.
        """
        if capacity < 2:
            raise LearnerError(f"capacity: expected at least 2 rows (one action), got {capacity}")
        self.layout, self.capacity = layout, capacity
        self.steps = StepStorage(layout, capacity, folder)
        self.nbytes = self.steps.nbytes
        self.version = 0
        self.total_added = 0
        self._episodes: dict[str, StoredEpisode] = {}  # in order of arrival, which is the order of the ring
        self._next_row = 0

    @property
    def episodes(self) -> tuple[StoredEpisode, ...]:
        """What is stored, in order of arrival."""
        return tuple(self._episodes.values())

    @property
    def rows_used(self) -> int:
        """Rows that hold a step."""
        return sum(episode.length + 1 for episode in self._episodes.values())

    def __contains__(self, identifier: str) -> bool:
        """Whether an episode is stored."""
        return identifier in self._episodes

    def add(self, episode: Episode, source: str) -> StoredEpisode:
        """Store a checked episode; the oldest ones whose rows it needs are forgotten.

        Raises:
            EpisodeError: it is stored already, does not fit the layout or the capacity, or holds a number
                that is not finite; nothing has changed then.
        """
        record = episode.record
        if record.identifier in self._episodes:
            raise EpisodeError("it is already stored; remove it first, or relabel it")
        if source not in SOURCES:
            raise EpisodeError(f"its source is '{source}', expected one of {SOURCES}")
        if record.outcome not in LABELS:
            raise EpisodeError(f"its outcome is '{record.outcome}', expected one of {LABELS}")
        rows = len(episode) + 1
        if rows > self.capacity:
            raise EpisodeError(f"it needs {rows} rows, the replay has {self.capacity}; raise its capacity")
        steps = EpisodeSteps.of(episode, self.layout)
        stages = (name for name, flags in record.flags.items() if flags.any())
        stored = StoredEpisode(
            identifier=record.identifier,
            first_row=self._make_room(rows),
            length=len(episode),
            outcome=record.outcome,
            terminal=record.terminal,
            source=cast(Source, source),
            reached=_reached(stages, record.outcome),
            number=self.total_added,
        )
        self.steps.write(stored.first_row, steps)
        self._episodes[record.identifier] = stored
        self.total_added += 1
        self.version += 1
        return stored

    def relabel(self, identifier: str, outcome: str) -> StoredEpisode:
        """Correct the outcome of a stored episode; a sparse reward follows it (see `sparse_reward.py`).

        Raises:
            EpisodeError: it is not stored, or there is no such outcome.
        """
        episode = self._stored(identifier)
        if outcome not in LABELS:
            raise EpisodeError(f"episode {identifier}: its outcome '{outcome}' is none of {LABELS}")
        rows = slice(episode.first_row, episode.last_row)
        rewards, terminal = follow_label(self.steps.reward[rows], episode.terminal, outcome)
        self.steps.reward[rows] = rewards
        reached = _reached(episode.reached, outcome)
        corrected = replace(episode, outcome=outcome, terminal=terminal, reached=reached)
        self._episodes[identifier] = corrected  # keeps its place in the order
        self.version += 1
        return corrected

    def remove(self, identifier: str) -> None:
        """Forget an episode. Its rows stay empty until the ring comes round to them.

        Raises:
            EpisodeError: it is not stored.
        """
        del self._episodes[self._stored(identifier).identifier]
        self.version += 1

    def content_hash(self) -> str:
        """SHA-256 (hex) of all stored episodes in order of arrival, wherever in the ring they lie."""
        digest = hashlib.sha256()
        for episode in self._episodes.values():
            parts = self.steps.parts(episode.first_row, episode.length)
            description = {
                "identifier": episode.identifier,
                "outcome": episode.outcome,
                "terminal": episode.terminal,
                "source": episode.source,
                "reached": sorted(episode.reached),
                "parts": [(name, str(array.dtype), array.shape) for name, array in parts],
            }
            digest.update(json.dumps(description, sort_keys=True).encode())
            for _, array in parts:
                digest.update(array.reshape(-1).data)
        return digest.hexdigest()

    def _stored(self, identifier: str) -> StoredEpisode:
        episode = self._episodes.get(identifier)
        if episode is None:
            raise EpisodeError(
                f"episode {identifier} is not stored: it never came, or newer ones took its place"
            )
        return episode

    def _make_room(self, rows: int) -> int:
        """Forget what is in the way of `rows` contiguous rows; returns the first of them."""
        first = self._next_row
        if first + rows > self.capacity:
            self._evict(first, self.capacity)  # skipped, but older than what lies at the beginning
            first = 0
        self._evict(first, first + rows)
        self._next_row = first + rows
        return first

    def _evict(self, start: int, stop: int) -> None:
        """Forget the episodes in rows start to stop: the oldest ones, for the ring is in order of age."""
        while self._episodes:
            identifier, oldest = next(iter(self._episodes.items()))
            if oldest.last_row < start or stop <= oldest.first_row:
                return
            del self._episodes[identifier]


def _reached(stages: Iterable[str], outcome: str) -> frozenset[str]:
    """Stages, with "success" exactly if that is the outcome."""
    others = frozenset(stages) - {"success"}
    return others | {"success"} if outcome == "success" else others
