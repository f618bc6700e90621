"""How the learning rate runs over updates, and how a time budget becomes a number of updates."""

import math
from dataclasses import dataclass

from soft_flow_learner.learner_config import ImitationConfig


@dataclass(frozen=True)
class Knot:
    """From `update` on, where progress was `progress`, it rises linearly to 1 at update `end`."""

    update: int
    progress: float
    end: int


@dataclass(frozen=True)
class Plan:
    """Progress of training as a function of the update alone, so that a resumed run repeats it.

    A time budget adds knots while the run goes on, whenever the pace shows that the budget would be missed;
    they are recorded with the run.
    """

    knots: tuple[Knot, ...]

    @classmethod
    def of(cls, updates: int) -> "Plan":
        """A run of so many updates."""
        return cls((Knot(0, 0.0, updates),))

    @property
    def updates(self) -> int:
        """Number of updates of the whole run."""
        return self.knots[-1].end

    def progress(self, update: int) -> float:
        """Progress in [0, 1] after `update` updates."""
        knot = next(knot for knot in reversed(self.knots) if knot.update <= update)
        if update >= knot.end:
            return 1.0
        return knot.progress + (1 - knot.progress) * (update - knot.update) / (knot.end - knot.update)

    def replanned(self, update: int, end: int) -> "Plan":
        """The same up to `update`, then at an even pace to `end`."""
        return Plan((*self.knots, Knot(update, self.progress(update), max(end, update))))


def learning_rate(config: ImitationConfig, update: int, progress: float) -> float:
    """Linear warm-up, then a half cosine from `learning_rate` down to `final_learning_rate` times that."""
    warm_up = min(1.0, (update + 1) / (config.warm_up + 1))
    cosine = 0.5 * (1 + math.cos(math.pi * progress))
    return (
        config.learning_rate
        * warm_up
        * (config.final_learning_rate + (1 - config.final_learning_rate) * cosine)
    )


@dataclass(frozen=True)
class TimeBudget:
    """Decides when to plan anew so that a run ends on time.

    Attributes:
        seconds: of training in all, over all its parts if it was interrupted.
        first_look: updates after which the pace is measured first.
        tolerance: relative error of the end that is let pass.
    """

    seconds: float
    first_look: int = 20
    tolerance: float = 0.03

    def looks(self, update: int, elapsed: float) -> bool:
        """Whether the pace is looked at after this update: at first_look times 1, 2, 4, 8, 16, 32, 48, ...

        When the time is over it is looked at in any case, and the plan ends.
        """
        times, rest = divmod(update, self.first_look)
        due = times > 0 and rest == 0 and (times % 16 == 0 or times in (1, 2, 4, 8))
        return due or elapsed > self.seconds * (1 + self.tolerance)

    def plan(self, plan: Plan, update: int, elapsed: float) -> Plan:
        """The plan from here on, given the seconds that `update` updates took."""
        end = update + int(max(self.seconds - elapsed, 0.0) * update / elapsed)
        if len(plan.knots) == 1 and update == self.first_look:  # the first guess was blind
            return Plan.of(end)
        late = abs(plan.updates - end) > self.tolerance * (end - update)
        return plan.replanned(update, end) if late else plan
