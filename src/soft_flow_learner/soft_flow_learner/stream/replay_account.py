"""What a player sent, what the learner said of it, and so how much more may be sent."""

from dataclasses import dataclass, field

from soft_flow_contract.errors import ContractError
from soft_flow_contract.learner_progress import REMEMBERED_EPISODES, LearnerProgress
from soft_flow_learner.stream.step_ranges import step_ranges

# The learner tells of its last episodes only: with fewer under way, none ends unseen.
EPISODES_AHEAD = REMEMBERED_EPISODES // 2


class ReplayError(ContractError):
    """Bags cannot be played to the learner."""


@dataclass
class _Sent:
    """An episode: its steps in the order sent, and the count of all transitions before and after it."""

    before: int
    after: int = 0
    steps: list[int] = field(default_factory=list)
    settled: str = ""


class ReplayAccount:
    """Keeps the window: at most so many transitions are sent that the learner has not received.

    The learner counts what it receives from all senders. Another one beside this player makes the window
    wider than it should be; what is said of an episode stays right.

    Attributes:
        sent: transitions so far.
        acknowledged: of those, how many the learner received, as far as is known.
    """

    def __init__(self, window: int) -> None:
        """Allow `window` unacknowledged transitions."""
        self.window = window
        self.sent = self.acknowledged = 0
        self._episodes: dict[str, _Sent] = {}
        self._open: dict[str, _Sent] = {}  # those not settled yet
        self._base: int | None = None  # what the learner had received before the first transition was sent
        self._latest: LearnerProgress | None = None

    @property
    def begun(self) -> bool:
        """Whether the learner was heard, so that its counts can be compared."""
        return self._base is not None

    @property
    def unacknowledged(self) -> int:
        """Transitions under way."""
        return self.sent - self.acknowledged

    @property
    def settled(self) -> bool:
        """Whether the learner received everything and said what became of every episode."""
        return self.unacknowledged == 0 and not self._open

    def may_send(self, episode_id: str) -> bool:
        """Whether the next transition, of this episode, fits into the window."""
        new = episode_id not in self._open and len(self._open) >= EPISODES_AHEAD
        return self.begun and not new and self.unacknowledged < self.window

    def note_sent(self, episode_id: str, step: int) -> None:
        """Count a transition that was just sent."""
        episode = self._episodes.setdefault(episode_id, _Sent(before=self.sent))
        self._open[episode_id] = episode
        self.sent += 1
        episode.after, episode.settled = self.sent, ""
        episode.steps.append(step)

    def note_progress(self, progress: LearnerProgress) -> bool:
        """Take what the learner says.

        Returns:
            Whether it received or settled anything new of this player's.

        Raises:
            ReplayError: it counts less than before, so it is another one now.
        """
        if self._latest is not None and progress.received < self._latest.received:
            raise ReplayError(
                f"the learner was restarted: it has received {progress.received} transitions, before it had "
                f"received {self._latest.received}; play the bags again"
            )
        self._latest = progress
        if self._base is None:
            self._base = progress.received
        before = (self.acknowledged, len(self._open))
        self.acknowledged = min(self.sent, progress.received - self._base)
        for identifier, episode in list(self._open.items()):
            # What it says of an earlier arrival of the same episode does not count.
            if self.acknowledged >= episode.after and identifier in progress.settled:
                episode.settled = progress.settled[identifier]
                del self._open[identifier]
        return (self.acknowledged, len(self._open)) != before

    def missing(self) -> dict[str, tuple[int, ...]]:
        """Steps that the learner lacks, by episode: the gaps that it knows of, and what is newer."""
        found = {identifier: self._missing(identifier, episode) for identifier, episode in self._open.items()}
        return {identifier: steps for identifier, steps in found.items() if steps}

    def _missing(self, identifier: str, episode: _Sent) -> tuple[int, ...]:
        progress = self._latest
        if progress is None or self.acknowledged <= episode.before:
            return tuple(episode.steps)
        gaps = progress.missing.get(identifier, ())
        newest = progress.episodes.get(identifier, 0) + len(gaps) - 1
        return tuple(step for step in episode.steps if step in gaps or step > newest)

    def problem(self) -> str:
        """What of the sent things is missing or not settled, for people; empty if nothing is."""
        missing = self.missing()
        parts = [
            f"episode {identifier} misses step{'s'[: len(steps) > 1]} {step_ranges(steps)}"
            for identifier, steps in missing.items()
        ]
        parts += [
            f"episode {identifier} was received but neither committed nor dropped"
            for identifier in self._open
            if identifier not in missing
        ]
        if parts or self.unacknowledged:
            parts.insert(0, f"{self.acknowledged} of {self.sent} transitions sent are acknowledged")
        return "; ".join(parts)

    def lines(self) -> list[str]:
        """The summary for people: one line an episode, then the sum."""
        missing = self.missing()
        lines = []
        for identifier, episode in self._episodes.items():
            lacks = (
                f"missing steps {step_ranges(missing[identifier])}"
                if identifier in missing
                else "not settled"
            )
            lines.append(f"episode {identifier}: {len(episode.steps)} sent, {episode.settled or lacks}")
        committed = sum(episode.settled == "committed" for episode in self._episodes.values())
        dropped = len(self._episodes) - committed - len(self._open)
        return [
            *lines,
            f"sent {self.sent} transitions of {len(self._episodes)} episodes, "
            f"{self.acknowledged} acknowledged; {committed} committed, {dropped} dropped or duplicate, "
            f"{len(self._open)} not settled",
        ]
