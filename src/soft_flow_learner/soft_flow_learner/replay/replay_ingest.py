"""Fills the replay from bags, and remembers in a cursor what was taken."""

from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path

from soft_flow_contract.strict_model import StrictModel
from soft_flow_contract.task_specification import TaskSpecification
from soft_flow_learner.episode import EncodedEpisode
from soft_flow_learner.errors import EpisodeError
from soft_flow_learner.ingest import BagIngest, IngestOptions, IngestReport
from soft_flow_learner.replay.replay_buffer import ReplayBuffer


class IngestCursor(StrictModel):
    """What was taken from bags: absolute path of each bag that was read -> episodes that came from it.

    A closed bag never changes: one that was read is not opened again, even if nothing in it was asked for. So
    a cursor belongs to one set of options. Refused bags are not in it: they may have been mended meanwhile.
    """

    bags: dict[str, tuple[str, ...]] = {}

    @property
    def identifiers(self) -> frozenset[str]:
        """All episodes that were taken."""
        return frozenset(identifier for episodes in self.bags.values() for identifier in episodes)


def recorded_source(record: EncodedEpisode) -> str:
    """The source that the recorded actions tell."""
    return record.source


def fill_from_bags(
    buffer: ReplayBuffer,
    roots: Sequence[Path],
    specification: TaskSpecification,
    options: IngestOptions | None = None,
    source: Callable[[EncodedEpisode], str] = recorded_source,
    cursor: IngestCursor | None = None,
    report: IngestReport | None = None,
    on_bag: Callable[[int, int], None] = lambda done, total: None,
) -> IngestCursor:
    """Add the episodes of the bags in or under `roots` that are new, in the order of the bags.

    Episodes go to the buffer as they are decoded: only a few are in memory beside it.

    Args:
        buffer: where they are added; episodes that it stores already are passed over.
        roots: directories of bags, or that hold bags.
        specification: of the task.
        options: what is read; images only if the buffer stores any.
        source: who acted in an episode.
        cursor: what was taken before; None: nothing.
        report: is filled with what was read and what was not.
        on_bag: called with (bags read, bags in all).

    Returns:
        The cursor after this.

    Raises:
        BagError: a root does not exist, or (with `strict`) a bag cannot be used.
        EpisodeError: with `strict`, an episode cannot be used.
    """
    options = options or IngestOptions()
    if not buffer.layout.cameras:
        options = replace(options, images=False)
    before = cursor or IngestCursor()
    known = before.identifiers | {episode.identifier for episode in buffer.episodes}
    ingest = BagIngest(specification, options, known)
    ingest.report = report if report is not None else IngestReport()
    taken: dict[str, list[str]] = {}
    absolute = [root.resolve() for root in roots]
    for episode in ingest.iterate(absolute, on_bag, skip={Path(bag) for bag in before.bags}):
        try:
            buffer.add(episode, source(episode.record))
        except EpisodeError as error:
            ingest.reject(episode, error)
            continue
        identifier = episode.record.identifier
        taken.setdefault(str(ingest.bag_of(identifier)), []).append(identifier)
    read = {str(bag): tuple(taken.get(str(bag), ())) for bag in ingest.read_bags}
    return IngestCursor(bags={**before.bags, **read})
