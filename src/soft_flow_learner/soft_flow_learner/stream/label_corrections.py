"""Labels that a person corrected after their episodes were written, from `labels.jsonl` and from the graph.

A bag is never changed: what was recorded stays in it. A correction is one JSON line beside the bags, and the
same text on `episode/labels`. It corrects the label alone; rewards and stage flags stay what the task said.
"""

from collections.abc import Iterable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Literal

from pydantic import Field, ValidationError

from soft_flow_contract.encoded_step import EncodedStep
from soft_flow_contract.strict_model import StrictModel, describe
from soft_flow_learner.errors import BagError

FILE_NAME = "labels.jsonl"  # in the folder that holds the bags


class LabelCorrection(StrictModel):
    """One corrected label.

    Attributes:
        stamp_ns: when it was given (wall clock: simulated time begins anew with every launch).
        episode_id: UUID.
        outcome: the label from now on; "discard": the episode is not to be used.
        source: who corrected it.
    """

    stamp_ns: int = Field(ge=0)
    episode_id: str = Field(min_length=1)
    outcome: Literal["success", "failure", "discard"]
    source: str = ""

    @classmethod
    def from_line(cls, text: str | bytes, place: str) -> "LabelCorrection":
        """Read one JSON line; `place` names where it came from.

        Raises:
            BagError: it is no correction; says which key is wrong.
        """
        try:
            return cls.model_validate_json(text)
        except ValidationError as error:
            raise BagError(f"{describe(error, cls, place)}; correct or remove the line") from error


class LabelCorrections:
    """The newest correction of each episode, also of episodes that are not known yet."""

    def __init__(self, corrections: Iterable[LabelCorrection] = ()) -> None:
        """Begin with these, in the order in which they were given."""
        self._newest: dict[str, LabelCorrection] = {}
        for correction in corrections:
            self.add(correction)

    def __len__(self) -> int:
        """Number of corrected episodes."""
        return len(self._newest)

    def add(self, correction: LabelCorrection) -> bool:
        """Take a correction, unless a newer one of its episode is there; of equal stamps the later call wins.

        Returns:
            Whether it is the one that counts now.
        """
        known = self._newest.get(correction.episode_id)
        if known is not None and known.stamp_ns > correction.stamp_ns:
            return False
        self._newest[correction.episode_id] = correction
        return True

    def of(self, episode_id: str) -> LabelCorrection | None:
        """The correction that counts for an episode, if any."""
        return self._newest.get(episode_id)

    def outcome_of(self, episode_id: str, recorded: str) -> str:
        """The label that counts: the corrected one, or the `recorded` one."""
        correction = self._newest.get(episode_id)
        return recorded if correction is None else correction.outcome

    def relabel(self, steps: Sequence[EncodedStep]) -> list[EncodedStep]:
        """The steps (of one or more episodes) with the labels that count."""
        return [
            step if step.episode_id not in self._newest else replace(step, outcome=self._outcome(step))
            for step in steps
        ]

    def _outcome(self, step: EncodedStep) -> str:
        return self.outcome_of(step.episode_id, step.outcome)


def load_corrections(bags: Iterable[Path]) -> LabelCorrections:
    """The corrections beside these bags: `labels.jsonl` in each folder that holds one of them.

    Args:
        bags: bag directories, as `bag_reader.find_bags` gives them.

    Raises:
        BagError: a line is broken, by file and number (but for the half-written last one of a crash, which
            never counted).
    """
    corrections = LabelCorrections()
    for folder in dict.fromkeys(bag.absolute().parent for bag in bags):
        for correction in read_corrections(folder / FILE_NAME):
            corrections.add(correction)
    return corrections


def read_corrections(path: Path) -> list[LabelCorrection]:
    """All corrections of a file, oldest line first; none if there is no such file.

    Raises:
        BagError: see `load_corrections`.
    """
    if not path.exists():
        return []
    data = path.read_bytes()
    whole = data[: data.rfind(b"\n") + 1]
    return [
        LabelCorrection.from_line(line, f"{path}, line {number}")
        for number, line in enumerate(whole.splitlines(), start=1)
        if line.strip()
    ]
