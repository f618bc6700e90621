"""The phases of an episode and which of them may follow which."""

from enum import IntEnum

from soft_flow_episode.episode_plan import DISCARD, LABELS
from soft_flow_episode.step_joiner import Outcome


class Phase(IntEnum):
    """Where an episode is; the values of EpisodeState."""

    IDLE = 0
    PREPARING = 1
    RUNNING = 2
    LABELLING = 3
    WRITING = 4
    FINISHED = 5


class PhaseError(Exception):
    """What was asked for cannot happen in this phase; the message says what can."""


def oracle_label(last: Outcome) -> str:
    """Label by the task's own judgement."""
    return "success" if last.success else "failure"


class EpisodeStateMachine:
    """One episode after the other: IDLE -> PREPARING -> RUNNING -> LABELLING -> WRITING -> IDLE or FINISHED.

    Attributes:
        outcome: final label, from WRITING on.
        reason: why it is discarded.
    """

    def __init__(self) -> None:
        self.phase = Phase.IDLE
        self.episode_id, self.seed = "", 0
        self.outcome, self.reason = "", ""

    def _move(self, allowed: tuple[Phase, ...], to: Phase, what: str) -> None:
        if self.phase not in allowed:
            expected = " or ".join(phase.name for phase in allowed)
            raise PhaseError(f"cannot {what} in phase {self.phase.name}; expected {expected}")
        self.phase = to

    def begin(self, episode_id: str, seed: int) -> None:
        """Begin to prepare an episode."""
        self._move((Phase.IDLE,), Phase.PREPARING, "begin an episode")
        self.episode_id, self.seed, self.outcome, self.reason = episode_id, seed, "", ""

    def run(self) -> None:
        """World and arbiter are prepared; steps are collected from now on."""
        self._move((Phase.PREPARING,), Phase.RUNNING, "run")

    def end(self) -> None:
        """All steps are there; the label is still to come."""
        self._move((Phase.RUNNING,), Phase.LABELLING, "end the episode")

    def label(self, outcome: str) -> None:
        """Make the label final.

        Raises:
            PhaseError: nothing waits for a label.
            ValueError: no such label.
        """
        if outcome not in LABELS:
            raise ValueError(f"unknown outcome '{outcome}'; expected one of {', '.join(LABELS)}")
        self._move((Phase.LABELLING,), Phase.WRITING, "label")
        self.outcome = outcome
        if outcome == DISCARD:
            self.reason = "discarded by the operator"

    def discard(self, reason: str) -> None:
        """The episode is invalid, whatever came of it."""
        self._move((Phase.PREPARING, Phase.RUNNING, Phase.LABELLING), Phase.WRITING, "discard")
        self.outcome, self.reason = DISCARD, reason

    def finish(self, last: bool) -> None:
        """The episode is written, or dropped if it was discarded."""
        self._move((Phase.WRITING,), Phase.FINISHED if last else Phase.IDLE, "finish")
