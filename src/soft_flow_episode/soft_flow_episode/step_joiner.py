"""Joins observations, executed actions and outcomes of an episode into its steps.

Step k is observation o_k and action a_k, both stamped t_k, and the outcome of a_k, stamped t_k+1. The three
streams come in any order relative to each other, each of them in its own order.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import Any


@dataclass(frozen=True)
class Outcome:
    """What came of an action.

    Attributes:
        reward: of the action.
        flags: stage name -> reached after the action.
        terminal: true termination.
        truncated: ended by the time limit.
        valid: False if the world or the graph failed; the episode is discarded.
    """

    episode_id: str
    reward: float
    flags: dict[str, bool]
    terminal: bool
    truncated: bool
    success: bool
    valid: bool
    reason: str

    @property
    def final(self) -> bool:
        """Whether nothing follows it."""
        return self.terminal or self.truncated or not self.valid


def unjudged(episode_id: str, flags: Sequence[str]) -> Outcome:
    """The outcome of an action that nothing judges as it is done."""
    return Outcome(episode_id, 0.0, dict.fromkeys(flags, False), False, False, False, True, "")


@dataclass
class _Stream:
    """Items of one topic by tick; a missing tick is a gap."""

    name: str
    next_ns: int
    dt_ns: int
    items: list[Any] = field(default_factory=list)

    def add(self, stamp_ns: int, item: Any) -> str:
        """Append; returns what is wrong, or an empty text. Stamps before the expected one are of the past."""
        if stamp_ns < self.next_ns:
            return ""
        if stamp_ns > self.next_ns:
            missing = (stamp_ns - self.next_ns) // self.dt_ns
            return f"gap: {self.name} misses {missing} tick(s) from {self.next_ns * 1e-9:.3f} s on"
        self.items.append(item)
        self.next_ns += self.dt_ns
        return ""


class StepJoiner:
    """Collects one episode.

    Attributes:
        problem: why the episode is invalid; empty while it is good.
    """

    def __init__(self, episode_id: str, start_ns: int, dt_ns: int, max_steps: int) -> None:
        """Collect from the tick `start_ns` on, at most `max_steps` actions (which truncates)."""
        self.episode_id, self.start_ns, self.dt_ns = episode_id, start_ns, dt_ns
        self.problem = ""
        self._max_steps = max_steps
        self._observations = _Stream("observation", start_ns, dt_ns)
        self._actions = _Stream("executed_action", start_ns, dt_ns)
        self._outcomes = _Stream("task/outcome", start_ns + dt_ns, dt_ns)
        self._end: int | None = None  # number of actions of the episode, once known

    def add_observation(self, stamp_ns: int, observation: Any) -> None:
        """Take o_k in any form; it is only kept."""
        self._add(self._observations, stamp_ns, observation)

    def add_action(self, stamp_ns: int, action: Any) -> None:
        """Take a_k in any form; it is only kept."""
        self._add(self._actions, stamp_ns, action)

    def add_outcome(self, stamp_ns: int, outcome: Outcome) -> None:
        """Take the outcome of a_k, stamped t_k+1; those of other episodes are ignored."""
        if outcome.episode_id != self.episode_id or self._end is not None:
            return
        if not outcome.valid:
            self.problem = self.problem or f"invalid: {outcome.reason or 'the world gave no reason'}"
            return
        self._add(self._outcomes, stamp_ns, outcome)
        count = len(self._outcomes.items)
        if outcome.final or count >= self._max_steps:
            self._end = count

    def _add(self, stream: _Stream, stamp_ns: int, item: Any) -> None:
        if self._end is None or len(stream.items) <= self._end:
            self.problem = self.problem or stream.add(stamp_ns, item)

    def judge_by_hand(self, success: bool) -> None:
        """Where nothing but a person judges: the last action earns the reward of a success."""
        if self._end and success:
            last = replace(
                self._outcomes.items[self._end - 1], reward=1.0, success=True, terminal=True, truncated=False
            )
            self._outcomes.items[self._end - 1] = last

    def end_now(self) -> None:
        """End after the steps that are complete by now (an operator's decision); counts as truncated."""
        if self._end is None:
            complete = min(
                len(self._observations.items) - 1, len(self._actions.items), len(self._outcomes.items)
            )
            self._end = max(complete, 0)

    @property
    def steps(self) -> int:
        """Outcomes received so far."""
        return len(self._outcomes.items)

    @property
    def complete(self) -> bool:
        """Whether the final outcome and everything up to it, the final observation included, are there."""
        end = self._end
        return (
            end is not None
            and len(self._observations.items) > end
            and len(self._actions.items) >= end
            and len(self._outcomes.items) >= end
        )

    @property
    def ended(self) -> bool:
        """Whether the end is known; what is still missing may be on its way."""
        return self._end is not None

    def missing(self) -> str:
        """What the newest step waits for; for messages about a stall."""
        observed, acted, judged = (
            len(stream.items) for stream in (self._observations, self._actions, self._outcomes)
        )
        if acted < observed:
            return f"executed_action of step {acted}"
        if judged < acted:
            return f"task/outcome of step {judged}"
        return f"observation of step {observed}"

    def joined(self) -> "JoinedEpisode":
        """The complete episode.

        Raises:
            ValueError: it is not complete.
        """
        if not self.complete or not self._end:
            raise ValueError(f"episode {self.episode_id} is not complete: it waits for the {self.missing()}")
        return JoinedEpisode(
            self.start_ns,
            self.dt_ns,
            self._observations.items[: self._end + 1],
            self._actions.items[: self._end],
            self._outcomes.items[: self._end],
        )


@dataclass(frozen=True)
class JoinedEpisode:
    """N steps and the final observation.

    Attributes:
        start_ns: tick of the first observation.
        observations: N + 1.
        actions: N.
        outcomes: N.
    """

    start_ns: int
    dt_ns: int
    observations: list[Any]
    actions: list[Any]
    outcomes: list[Outcome]

    def __len__(self) -> int:
        """Number of steps with an action."""
        return len(self.actions)

    @property
    def last(self) -> Outcome:
        """Outcome of the last action."""
        return self.outcomes[-1]

    @property
    def terminated(self) -> bool:
        """True termination; otherwise the episode was truncated."""
        return self.last.terminal

    def stamp_ns(self, step: int) -> int:
        """Tick of a step."""
        return self.start_ns + step * self.dt_ns
