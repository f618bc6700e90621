"""Steps that arrive one by one become checked episodes, and every episode that does not is reported."""

from collections import OrderedDict
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal

from soft_flow_contract.encoded_step import EncodedStep
from soft_flow_contract.learner_progress import REMEMBERED_EPISODES, LearnerProgress
from soft_flow_contract.task_specification import TaskSpecification
from soft_flow_learner.episode import EncodedEpisode, assemble_episode
from soft_flow_learner.errors import EpisodeError
from soft_flow_learner.stream.label_corrections import LabelCorrection, LabelCorrections
from soft_flow_learner.stream.step_ranges import step_ranges

Kind = Literal["committed", "dropped", "relabelled", "duplicate"]


@dataclass(frozen=True)
class StagingReport:
    """What became of an episode.

    Attributes:
        kind: committed; dropped; relabelled (its label was corrected); duplicate (it was committed before).
        reason: why, for people; empty if committed.
        steps: different steps that arrived.
        missing_steps: those below the newest one that did not.
    """

    episode_id: str
    kind: Kind
    reason: str = ""
    steps: int = 0
    missing_steps: tuple[int, ...] = ()


@dataclass
class _Pass:
    """One arrival of an episode, from its first step that came to its end.

    Attributes:
        repeats: the episode was committed before; nothing but step numbers is kept.
        settled: how it ended, as `LearnerProgress.settled` says it; empty while it is under way.
    """

    repeats: bool
    steps: list[EncodedStep] = field(default_factory=list)
    seen: set[int] = field(default_factory=set)
    settled: str = ""

    @property
    def missing(self) -> tuple[int, ...]:
        return tuple(sorted(set(range(max(self.seen, default=-1) + 1)) - self.seen))


class EpisodeStaging:
    """Stages steps by the UUID of their episode; the last step commits the episode or drops it as a whole.

    The steps of an episode may come in any order before its last one, and episodes may interleave. After a
    drop the episode may come again from its first step; other late steps are only counted.

    Attributes:
        reports: what happened, oldest first; whoever reads them may clear the list.
        corrections: of labels, those of episodes that did not arrive yet included.
        received: steps so far.
        late_steps: of those, the steps that came after their episode was settled.
        committed_episodes, dropped: numbers of episodes so far; repeated ones are dropped.
    """

    def __init__(
        self,
        specification: TaskSpecification,
        unfinished: int = 8,
        longest: int = 10_000,
        corrections: LabelCorrections | None = None,
        committed: Mapping[str, str] | None = None,
    ) -> None:
        """Stage episodes of this specification.

        Args:
            specification: what every step has to fit.
            unfinished: episodes that are under way at once, at most; beginning one more drops the oldest.
            longest: steps of an episode, at most; one that never ends, or a damaged number, must not fill the
                memory.
            corrections: known from before.
            committed: UUID -> label of the episodes that the learner has already.
        """
        self.specification, self.unfinished, self.longest = specification, unfinished, longest
        self.corrections = LabelCorrections() if corrections is None else corrections
        self.reports: list[StagingReport] = []
        self.received = self.late_steps = self.committed_episodes = self.dropped = 0
        self._labels = dict(committed or {})
        self._staged: OrderedDict[str, _Pass] = OrderedDict()  # oldest first
        self._remembered: OrderedDict[str, _Pass] = (
            OrderedDict()
        )  # the newest pass of each episode, without steps

    def add(self, step: EncodedStep) -> EncodedEpisode | None:
        """Stage a step; at the last one of an episode, return it if it is good and was not there before."""
        self.received += 1
        identifier = step.episode_id
        if step.is_first and step.step in getattr(self._staged.get(identifier), "seen", ()):
            self._drop(identifier, "it began again before its end")
        current = self._staged.get(identifier) or self._begin(step)
        if current is None:
            self.late_steps += 1
            return None
        if step.step >= self.longest or len(current.steps) >= self.longest:
            self._drop(identifier, f"it is longer than {self.longest} steps (came to step {step.step})")
            return None
        current.seen.add(step.step)
        if not current.repeats:
            current.steps.append(step)
        return self._finish(identifier) if step.is_last else None

    def damaged(self, reason: str) -> None:
        """Count a transition that could not be read; its episode, whichever it is, will have a gap."""
        self.received += 1
        self.reports.append(StagingReport("", "dropped", f"a transition cannot be read: {reason}", 1))

    def correct(self, correction: LabelCorrection) -> LabelCorrection | None:
        """Take a corrected label; the newest stamp wins, and unknown episodes keep theirs until they arrive.

        Returns:
            The correction if it changes the label of a committed episode, which the learner then has to
            relabel (or, with "discard", to forget).
        """
        newest = self.corrections.add(correction)
        label = self._labels.get(correction.episode_id)
        if not newest or label is None or label == correction.outcome:
            return None
        self._labels[correction.episode_id] = correction.outcome
        self._report_relabelled(correction.episode_id, label)
        return correction

    def expected(self, counts: Mapping[str, int]) -> dict[str, tuple[int, ...]]:
        """Compare with what a sender says it sent.

        Args:
            counts: UUID -> number of steps sent, from step 0 on.

        Returns:
            UUID -> steps that did not arrive, for each episode that misses some.
        """
        lacking = {}
        for identifier, count in counts.items():
            latest = self._remembered.get(identifier)
            if latest is None and identifier in self._labels:
                continue  # committed so long ago that its steps are forgotten: it was whole
            missing = set(range(count)) - (latest.seen if latest else set())
            if missing:
                lacking[identifier] = tuple(sorted(missing))
        return lacking

    def progress(self) -> LearnerProgress:
        """What the senders may know."""
        passes = self._remembered.items()
        return LearnerProgress(
            received=self.received,
            committed_episodes=self.committed_episodes,
            dropped=self.dropped,
            episodes={identifier: len(one.seen) for identifier, one in passes},
            missing={identifier: one.missing for identifier, one in passes if one.missing},
            settled={identifier: one.settled for identifier, one in passes if one.settled},
        )

    def _begin(self, step: EncodedStep) -> _Pass | None:
        """Begin a pass with this step; None if it only comes late."""
        identifier = step.episode_id
        before = self._remembered.get(identifier)
        if before is not None and not step.is_first:
            return None
        if len(self._staged) >= self.unfinished:
            oldest = next(iter(self._staged))
            newest_step = max(self._staged[oldest].seen)
            reason = (
                f"its end did not come after step {newest_step}, and {self.unfinished} others are unfinished"
            )
            self._drop(oldest, reason)
        current = _Pass(repeats=identifier in self._labels)
        self._staged[identifier] = self._remembered[identifier] = current
        self._remembered.move_to_end(identifier)
        for old in list(self._remembered)[: -max(REMEMBERED_EPISODES, self.unfinished)]:
            if old not in self._staged:
                del self._remembered[old]
        return current

    def _finish(self, identifier: str) -> EncodedEpisode | None:
        current = self._staged[identifier]
        if current.repeats:
            self._drop(identifier, "")
            return None
        recorded = current.steps[-1].outcome
        try:
            episode = assemble_episode(self.corrections.relabel(current.steps), self.specification)
        except EpisodeError as error:
            self._drop(identifier, str(error))
            return None
        self._labels[identifier] = episode.outcome
        self.committed_episodes += 1
        self._settle(identifier, "committed", "")
        if episode.outcome != recorded:
            self._report_relabelled(identifier, recorded)
        return episode

    def _drop(self, identifier: str, reason: str) -> None:
        """End a pass without an episode."""
        current = self._staged[identifier]
        self.dropped += 1
        if current.repeats:
            self._settle(identifier, "duplicate", "it was committed before" + (reason and f"; {reason}"))
            return
        if current.missing:
            reason += f"; missing steps: {step_ranges(current.missing)}"
        self._settle(identifier, "dropped", reason)

    def _settle(self, identifier: str, kind: Kind, reason: str) -> None:
        current = self._staged.pop(identifier)
        current.steps = []
        current.settled = f"{kind}: {reason}" if reason else kind
        self.reports.append(StagingReport(identifier, kind, reason, len(current.seen), current.missing))

    def _report_relabelled(self, identifier: str, before: str) -> None:
        correction = self.corrections.of(identifier)
        if correction is not None:
            reason = f"from {before} to {correction.outcome}, by {correction.source or 'unknown'}"
            self.reports.append(StagingReport(identifier, "relabelled", reason))
