"""What goes into the learner's thread and what it tells."""

from dataclasses import dataclass
from typing import Protocol

from soft_flow_contract.task_specification import TaskSpecification
from soft_flow_learner.online.stage_task import StageTask
from soft_flow_learner.replay.replay_buffer import ReplayBuffer


@dataclass(frozen=True)
class Budget:
    """How much may be learned online, and how often the result goes out.

    Attributes:
        updates_per_transition: updates that every transition that arrived allows.
        first_updates: allowed before any transition arrives.
        publish_seconds: between weights that are handed on.
        save_seconds: between checkpoints.
    """

    updates_per_transition: float = 1.0
    first_updates: int = 0
    publish_seconds: float = 5.0
    save_seconds: float = 60.0


@dataclass(frozen=True)
class LearnerStatus:
    """What the worker is doing.

    Attributes:
        stage: that is trained; empty before the first and after the last.
        updates: of the stage, earlier starts included.
        pending: updates that may still be done now; what arrived and was not taken in yet counts.
        at_rest: nothing is left to do, see `LearnerProgress`.
        steps: actions in the replay.
        episodes: in the replay.
        metrics: running means.
        problem: why it stopped, empty while it learns.
    """

    stage: str
    updates: int
    pending: int
    at_rest: bool
    steps: int
    episodes: int
    metrics: dict[str, float]
    problem: str


class LearnerRun(Protocol):
    """What the worker learns: see `OnlineRun`."""

    buffer: ReplayBuffer
    specification: TaskSpecification
    recorded_steps: int
    version: int

    def next_task(self) -> StageTask | None:
        """The stage to train now; None after the last one."""
        ...

    def save(self, task: StageTask, updates: int, seconds: float) -> None:
        """Write a checkpoint."""
        ...

    def export(self, task: StageTask, updates: int, seconds: float) -> None:
        """Write the policy for rollouts."""
        ...
