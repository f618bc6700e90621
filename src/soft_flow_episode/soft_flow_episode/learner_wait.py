"""Waiting for the learner between rounds of episodes, so that the next round is driven by what it learned."""

from soft_flow_contract.errors import ContractError
from soft_flow_contract.learner_progress import LearnerProgress


class LearnerWait:
    """Whether the next episode has to wait until the learner has learned from those before.

    Times are those of any clock that never goes back, in seconds.

    Attributes:
        passed: valid episodes for which the learner was waited for.
    """

    def __init__(self, every: int, patience: float) -> None:
        """Wait after every so many valid episodes, and after the last one.

        Args:
            every: episodes; 0: never.
            patience: s without a sign of progress until a learner that is waited for is given up.
        """
        self.every, self._patience = every, patience
        self._progress: LearnerProgress | None = None
        self._recorded = ""  # the newest episode that was published to the learner
        self.passed = 0
        self._misunderstood = ""
        self._announced = False
        self._moved: float | None = None  # s, last sign of progress; None while nothing is waited for

    def recorded(self, identifier: str) -> None:
        """A valid episode's transitions were published."""
        self._recorded = identifier

    def hear(self, text: str, now: float) -> None:
        """The learner said something on learner/progress, at `now` (s)."""
        try:
            self._progress = LearnerProgress.from_json(text)
        except ContractError as error:
            self._misunderstood = str(error)
        if self._moved is not None:
            self._moved = now

    def waits(self, valid: int, done: bool, now: float) -> bool:
        """Whether to wait now.

        Args:
            valid: episodes that are recorded.
            done: whether these are all.
            now: s.
        """
        due = bool(self.every) and valid > self.passed and (done or valid % self.every == 0)
        waits = due and not self._rests()
        if due and not waits:
            self.passed = valid
        if not waits:
            self._moved, self._announced = None, False
        elif self._moved is None:
            self._moved = now
        return waits

    def _rests(self) -> bool:
        progress = self._progress
        if progress is None or not progress.at_rest:
            return False
        known = self._recorded in progress.settled or self._recorded in progress.from_bags
        return known or not self._recorded

    @property
    def weights(self) -> tuple[str, int] | None:
        """Run and version of the weights that the learner published last; None if it told of none."""
        progress = self._progress
        if progress is None or progress.weights_version is None:
            return None
        return progress.weights_run, progress.weights_version

    def problem(self, now: float) -> str:
        """Why nothing more will come of the learner; empty while something may."""
        if self._misunderstood:
            return self._misunderstood
        if self._progress is not None and self._progress.problem:
            return f"learner_node stopped learning: {self._progress.problem}"
        waited = 0.0 if self._moved is None else now - self._moved
        if waited <= self._patience:
            return ""
        return (
            f"learner_node did not move on for {waited:.0f} s: {self.situation()}; look whether it runs and "
            "what it reports, or raise await_learner_timeout"
        )

    def news(self) -> str:
        """What is waited for, for people; once a wait, empty afterwards."""
        if self._announced:
            return ""
        self._announced = True
        return f"waits for learner_node: {self.situation()}"

    def situation(self) -> str:
        """How far the learner is, for people."""
        if self._progress is None:
            return f"nothing came on {LearnerProgress.TOPIC}"
        if self._progress.pending_updates:
            return f"it has {self._progress.pending_updates} updates to do"
        if not self._progress.at_rest:
            return "it is about to publish and save"
        return f"it did not get episode {self._recorded}"
