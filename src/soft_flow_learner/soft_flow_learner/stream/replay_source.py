"""The transitions of closed bags, one after the other, as they were recorded."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from soft_flow_learner.bag_reader import TRANSITIONS, UNFINISHED, find_bags, read_bag
from soft_flow_learner.errors import BagError
from soft_flow_learner.stream.label_corrections import LabelCorrection, load_corrections
from soft_flow_learner.stream.transition_head import TransitionHead, transition_head


@dataclass(frozen=True)
class ReplayedTransition:
    """A transition to send: its head, and its bytes (CDR)."""

    head: TransitionHead
    data: bytes


class ReplaySource:
    """Reads bags one by one; corrected labels (`labels.jsonl` beside the bags) are honoured.

    Attributes:
        bags: closed bags, in the order in which they are played.
        notes: what is left out on purpose, for people.
        refused: bags that cannot be read, with the reason; grows while the source is read.
    """

    def __init__(
        self,
        roots: Sequence[Path],
        relabel: Callable[[bytes, str], bytes],
        topic: str = TRANSITIONS,
    ) -> None:
        """Find the bags.

        Args:
            roots: directories of bags, or that hold bags.
            relabel: gives the bytes of a transition another outcome; called for corrected episodes alone.
            topic: name of the transitions topic in the bags.

        Raises:
            BagError: a root does not exist, no closed bag is there, or a correction is broken.
        """
        found = find_bags(roots)
        self.bags = [bag for bag in found if UNFINISHED not in bag.parts]
        self.notes = [
            f"{bag}: left out, its recording was interrupted" for bag in found if bag not in self.bags
        ]
        self.refused: list[tuple[Path, str]] = []
        if not self.bags:
            raise BagError(
                f"no closed bag in {', '.join(map(str, roots))}; give the directory that holds them"
            )
        self._corrections = load_corrections(self.bags)
        self._relabel, self._topic = relabel, topic

    def read(self) -> Iterator[ReplayedTransition]:
        """All transitions; those of an episode whose label was corrected to "discard" are left out."""
        for bag in self.bags:
            try:
                yield from [
                    transition
                    for data in read_bag(bag, self._topic).transitions
                    if (transition := self._corrected(data)) is not None
                ]
            except BagError as error:
                self.refused.append((bag, str(error)))

    def _corrected(self, data: bytes) -> ReplayedTransition | None:
        """The transition with the label that counts; None if its episode is not to be used."""
        head = transition_head(data)
        correction = self._corrections.of(head.episode_id)
        if correction is None:
            return ReplayedTransition(head, data)
        if correction.outcome != "discard":
            return ReplayedTransition(head, self._relabel(data, correction.outcome))
        note = _withheld(correction)
        if note not in self.notes:
            self.notes.append(note)
        return None


def _withheld(correction: LabelCorrection) -> str:
    source = correction.source or "unknown"
    return f"episode {correction.episode_id}: left out, its label was corrected to discard by {source}"
