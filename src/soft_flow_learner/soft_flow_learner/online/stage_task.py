"""The stages of the learner beside the robot, one after the other, and how many updates each has."""

from collections.abc import Mapping
from dataclasses import dataclass

from soft_flow_learner.errors import LearnerError
from soft_flow_learner.metrics_log import MetricsLog, NoLog
from soft_flow_learner.training.reinforcement_work import ReinforcementWork

ONLINE = "online"
STAGES = ("warmup", "offline", ONLINE)


@dataclass(frozen=True)
class StageTask:
    """A stage that is to be trained.

    Attributes:
        name: warmup, offline or online.
        work: what an update is.
        done: updates that were done before, when the run is continued.
        seconds: that those took.
        largest: updates of the stage; None: no limit.
        version_before: updates of the stages before: versions of the weights rise over the whole run.
        log: its metrics, one line an update; who trains it closes it.
    """

    name: str
    work: ReinforcementWork
    done: int
    seconds: float
    largest: int | None
    version_before: int
    log: MetricsLog | NoLog

    @property
    def paced(self) -> bool:
        """Whether transitions have to arrive for it: in the others the data are there already."""
        return self.name == ONLINE

    def over(self, updates: int) -> bool:
        """Whether it ends after so many updates."""
        return self.largest is not None and updates >= self.largest


def parse_stages(text: str) -> tuple[str, ...]:
    """`STAGE,STAGE` in the order in which they are trained.

    Raises:
        LearnerError: an unknown one, or another order.
    """
    names = tuple(part.strip() for part in text.split(","))
    if not set(names) <= set(STAGES) or list(names) != sorted(set(names), key=STAGES.index):
        raise LearnerError(f"stage: expected some of {','.join(STAGES)} in this order, got '{text}'")
    return names


def parse_updates(text: str, stages: tuple[str, ...]) -> Mapping[str, int]:
    """`N` (of every stage) or `STAGE=N,STAGE=N`; nothing for stages that are not named.

    Raises:
        LearnerError: something else, another stage, or a number that is not positive.
    """
    found: dict[str, int] = {}
    for part in filter(None, (part.strip() for part in text.split(","))):
        name, _, number = part.rpartition("=")
        if (name and name not in stages) or not number.isdecimal() or int(number) == 0:
            raise LearnerError(
                f"updates: expected a number, or stage=number of {','.join(stages)}; got '{part}'"
            )
        found |= {name: int(number)} if name else dict.fromkeys(stages, int(number))
    return found
