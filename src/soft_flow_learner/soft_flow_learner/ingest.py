"""From bags to episodes in memory: what can be used is, what cannot is named with its reason."""

from collections import Counter, deque
from collections.abc import Callable, Collection, Iterator
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
from soft_flow_learner.stream.label_corrections import LabelCorrections, load_corrections


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

    def __init__(
        self,
        specification: TaskSpecification,
        options: IngestOptions | None = None,
        known: Collection[str] = (),
    ) -> None:
        """Read episodes of this specification, but pass over those with `known` identifiers.

        Raises:
            BagError: `options.flag` is no stage of the task.
        """
        self.specification = specification
        self.options = options or IngestOptions()
        self.report = IngestReport()
        self.read_bags: list[Path] = []  # those that were not refused, whatever they held
        stages = ("success", *specification.episode.flags)
        if self.options.flag is not None and self.options.flag not in stages:
            raise BagError(
                f"flag '{self.options.flag}' is no stage of task '{specification.task}': use one of {stages}"
            )
        self._known = frozenset(known)
        self._corrections = LabelCorrections()
        self._seen: dict[str, Path] = {}
        self._kept: Counter[Path] = Counter()  # episodes by bag

    def read(
        self, roots: list[Path], on_bag: Callable[[int, int], None] = lambda done, total: None
    ) -> list[Episode]:
        """All usable episodes in the bags in or under `roots`, in the order of the bags.

        Args:
            roots: directories of bags, or that hold bags.
            on_bag: called with (bags read, bags in all).

        Raises:
            BagError: a root does not exist, a corrected label beside the bags cannot be read, or (with
                `strict`) a bag cannot be used.
            EpisodeError: with `strict`, an episode cannot be used.
        """
        return list(self.iterate(roots, on_bag))

    def iterate(
        self,
        roots: list[Path],
        on_bag: Callable[[int, int], None] = lambda done, total: None,
        skip: Collection[Path] = (),
    ) -> Iterator[Episode]:
        """As `read`, but one episode after the other, so that few of them are in memory.

        Args:
            roots: directories of bags, or that hold bags.
            on_bag: called with (bags read, bags in all).
            skip: bags that are not opened.
        """
        bags = [bag for bag in find_bags(roots) if bag not in skip]
        self._corrections = load_corrections(bags)
        self.report.bags += len(bags)
        waiting: deque[tuple[Path, EncodedEpisode, Future[Episode]]] = deque()
        with ThreadPoolExecutor(self.options.threads) as pool:
            for done, bag in enumerate(bags):
                on_bag(done, len(bags))
                for record in self._records(bag):
                    future = pool.submit(decode_episode, record, self.specification, self.options.images)
                    waiting.append((bag, record, future))
                    while len(waiting) > 2 * self.options.threads:  # bounds the memory
                        yield from self._collect(*waiting.popleft())
            while waiting:
                yield from self._collect(*waiting.popleft())
        on_bag(len(bags), len(bags))

    def bag_of(self, identifier: str) -> Path:
        """The bag in which an episode was found."""
        return self._seen[identifier]

    def reject(self, episode: Episode, error: EpisodeError) -> None:
        """Note that an episode that was handed out could not be used after all.

        Raises:
            EpisodeError: with `strict`.
        """
        identifier = episode.record.identifier
        bag = self._seen[identifier]
        self._kept[bag] -= 1
        self.report.used_bags -= self._kept[bag] == 0
        self.report.episodes.remove(identifier)
        self.report.steps -= len(episode)
        self._refuse(f"{bag} (episode {identifier})", error)

    def _collect(self, bag: Path, record: EncodedEpisode, future: "Future[Episode]") -> Iterator[Episode]:
        try:
            episode = future.result()
        except EpisodeError as error:
            self._refuse(f"{bag} (episode {record.identifier})", error)
            return
        self._kept[bag] += 1
        self.report.used_bags += self._kept[bag] == 1
        self.report.episodes.append(record.identifier)
        self.report.steps += len(episode)
        yield episode

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
        self.read_bags.append(bag)
        for identifier, steps in staged.items():
            if identifier in self._known:
                continue
            try:
                record = assemble_episode(self._corrections.relabel(steps), self.specification)
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
