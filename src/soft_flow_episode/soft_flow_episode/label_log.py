"""Corrections of labels: one line each in `labels.jsonl` beside the bags, which are never changed."""

import json
from dataclasses import asdict, dataclass

LABELS_NAME = "labels.jsonl"


@dataclass(frozen=True)
class LabelLine:
    """A corrected label; the newest stamp of an episode counts.

    Attributes:
        stamp_ns: when it was given (wall clock: simulated time begins anew with every launch).
        episode_id: UUID.
        outcome: success, failure or discard (the episode is not to be used).
        source: who corrected it.
    """

    stamp_ns: int
    episode_id: str
    outcome: str
    source: str

    def to_json(self) -> str:
        """The line without its end; also what goes out on `episode/labels`."""
        return json.dumps(asdict(self), separators=(",", ":"))
