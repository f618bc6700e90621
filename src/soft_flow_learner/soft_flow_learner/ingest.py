"""From bags to episodes in memory: what can be used is, what cannot is named with its reason."""

from collections import Counter, deque
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path

from soft_flow_contract.encoded_step import EncodedStep
from soft_flow_contract.errors import ContractError
from soft_flow_contract.message_conversion import encoded_step_from_bytes
from soft_flow_contract.task_specification import TaskSpecification
from soft_flow_learner.bag_reader import TRANSITIONS, find_bags, read_bag, require_specification
from soft_flow_learner.episode import EncodedEpisode, Episode, assemble_episode, decode_episode
from soft_flow_learner.errors import BagError, EpisodeError


@dataclass(frozen=True)
class IngestOptions:
    """What is read from bags."""

    topic: str = TRANSITIONS  # name of the transitions topic
    flag: str | None = None  # keep episodes that reached this stage ("success": by their label); None: all
    images: bool = True  # False: leave the images out
    strict: bool = False  # True: raise at the first thing that cannot be used
    threads: int = 2  # that decode images


@dataclass
class IngestReport:
    """What was read and what was not."""

    bags: int = 0  # bags found
    used_bags: int = 0  # bags with at least one episode that was kept
    steps: int = 0  # actions in the kept episodes
    episodes: list[str] = field(default_factory=list)  # identifiers of the kept ones
    refused: list[tuple[str, str]] = field(default_factory=list)  # (bag or episode, reason)
    unselected: Counter[str] = field(
        default_factory=Counter
    )  # good episodes that were not asked for, by outcome

    def lines(self) -> list[str]:
        """The summary for people."""
        unselected = ", ".join(f"{count} {outcome}" for outcome, count in sorted(self.unselected.items()))
        return [
            f"{self.used_bags} of {self.bags} bags used: {len(self.episodes)} episodes, {self.steps} steps"
            + (f" (not selected: {unselected})" if unselected else ""),
            *(f"skipped {name}: {reason}" for name, reason in self.refused),
        ]


class BagIngest:
    """Reads bags one after the other while a few threads decode the images of those already read."""

    def __init__(self, specification: TaskSpecification, options: IngestOptions | None = None) -> None:
        """Read episodes of this specification.

        Raises:
            BagError: `options.flag` is no stage of the task.
        """
        self.specification = specification
        self.options = options or IngestOptions()
        self.report = IngestReport()
        known = ("success", *specification.episode.flags)
        if self.options.flag is not None and self.options.flag not in known:
            raise BagError(
                f"flag '{self.options.flag}' is no stage of task '{specification.task}': use one of {known}"
            )
        self._seen: dict[str, Path] = {}

    def read(
        self, roots: list[Path], on_bag: Callable[[int, int], None] = lambda done, total: None
    ) -> list[Episode]:
        """All usable episodes in the bags in or under `roots`, in the order of the bags.

        Args:
            roots: directories of bags, or that hold bags.
            on_bag: called with (bags read, bags in all).

        Raises:
            BagError: a root does not exist, or (with `strict`) a bag cannot be used.
            EpisodeError: with `strict`, an episode cannot be used.
        """
        bags = find_bags(roots)
        self.report.bags += len(bags)
        episodes: list[Episode] = []
        waiting: deque[tuple[Path, EncodedEpisode, Future[Episode]]] = deque()
        with ThreadPoolExecutor(self.options.threads) as pool:
            for done, bag in enumerate(bags):
                on_bag(done, len(bags))
                for record in self._records(bag):
                    future = pool.submit(decode_episode, record, self.specification, self.options.images)
                    waiting.append((bag, record, future))
                while len(waiting) > 2 * self.options.threads:  # bounds the memory that raw bags take
                    self._collect(*waiting.popleft(), episodes)
            while waiting:
                self._collect(*waiting.popleft(), episodes)
        on_bag(len(bags), len(bags))
        self.report.used_bags = len({self._seen[episode.record.identifier] for episode in episodes})
        return episodes

    def _collect(
        self, bag: Path, record: EncodedEpisode, future: "Future[Episode]", into: list[Episode]
    ) -> None:
        try:
            episode = future.result()
        except EpisodeError as error:
            self._refuse(f"{bag} (episode {record.identifier})", error)
            return
        into.append(episode)
        self.report.episodes.append(record.identifier)
        self.report.steps += len(episode)

    def _refuse(self, name: str, error: Exception) -> None:
        if self.options.strict:
            raise type(error)(f"{name}: {error}") from error
        self.report.refused.append((name, str(error)))

    def _records(self, bag: Path) -> Iterator[EncodedEpisode]:
        """The checked episodes of a bag that were asked for."""
        try:
            raw = read_bag(bag, self.options.topic)
            require_specification(raw, self.specification)
            staged = _stage(raw.transitions)
        except BagError as error:
            self._refuse(str(bag), error)
            return
        for identifier, steps in staged.items():
            try:
                record = assemble_episode(steps, self.specification)
                if identifier in self._seen:
                    raise EpisodeError(f"it was already read from {self._seen[identifier]}")
            except EpisodeError as error:
                self._refuse(f"{bag} (episode {identifier})", error)
                continue
            self._seen[identifier] = bag
            if self.options.flag is None or record.reached(self.options.flag):
                yield record
            else:
                self.report.unselected[record.outcome] += 1


def _stage(transitions: list[bytes]) -> dict[str, list[EncodedStep]]:
    """Steps by episode, in the order in which the episodes begin."""
    staged: dict[str, list[EncodedStep]] = {}
    for index, data in enumerate(transitions):
        try:
            step = encoded_step_from_bytes(data)
        except ContractError as error:
            raise BagError(f"it is damaged: transition {index}: {error}") from error
        staged.setdefault(step.episode_id, []).append(step)
    return staged
