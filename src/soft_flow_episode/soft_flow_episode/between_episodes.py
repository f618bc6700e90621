"""What comes after an episode: the next one, a wait for learner and policy, or the end."""

from dataclasses import dataclass

from soft_flow_episode.episode_plan import EpisodePlan
from soft_flow_episode.learner_wait import LearnerWait
from soft_flow_episode.policy_wait import PolicyWait

TOO_MANY_INVALID, LEARNER_STOPPED = 4, 5  # exit statuses


@dataclass(frozen=True)
class NextStep:
    """What to do now; with neither a seed nor an end: wait.

    Attributes:
        seed: of the episode that begins.
        exit: status and, if something is wrong, its reason.
        news: what is waited for, to be told once.
        warning: what the next episode lacks, to be told once.
    """

    seed: int | None = None
    exit: tuple[int, str] | None = None
    news: str = ""
    warning: str = ""


class BetweenEpisodes:
    """Goes on by plan, and between rounds only when learner and policy are as far."""

    def __init__(self, plan: EpisodePlan, learner: LearnerWait, policy: PolicyWait) -> None:
        self.plan, self.learner, self.policy = plan, learner, policy
        self._flown = 0, 0  # valid and invalid episodes after which the policy was waited for

    def over(self) -> bool:
        """Whether there is nothing to do from the start."""
        return self.plan.done and not self.learner.every

    def next(self, now: float) -> NextStep:
        """What comes now (s, of a clock that never goes back)."""
        plan, learner = self.plan, self.learner
        waits = learner.waits(plan.valid, plan.done, now)
        if plan.failed:
            return NextStep(exit=(TOO_MANY_INVALID, plan.failed))
        if problem := learner.problem(now):
            return NextStep(exit=(LEARNER_STOPPED, problem))
        if waits:
            return NextStep(news=learner.news())
        if plan.done:
            return NextStep(exit=(0, ""))
        if self._policy_lags(now):
            return NextStep()
        warning, self.policy.warning = self.policy.warning, ""
        return NextStep(seed=plan.take_seed(), warning=warning)

    def _policy_lags(self, now: float) -> bool:
        """Whether the policy lacks what the learner published last.

        Asked after a round that was waited for, and after an invalid episode: a policy that died comes back
        with its checkpoint's weights.
        """
        weights, passed = self.learner.weights, self.learner.passed
        if not passed or weights is None or self._flown == (passed, self.plan.invalid):
            return False
        lags = self.policy.waits(*weights, now)
        if not lags:
            self._flown = passed, self.plan.invalid
        return lags
