"""What a demo was asked for."""

from dataclasses import asdict, dataclass
from typing import Any


@dataclass(frozen=True)
class DemoSettings:
    """What a demo was asked for.

    Attributes:
        minutes: for everything.
        episodes: demonstrations to collect.
        rollouts: episodes of the policy after each stage of learning.
        realtime: s at the pace of the wall clock.
        success_flag: stage that a demonstration must reach to be learned from.
        graphs: how many of them collect and roll out side by side.
        task: name of its file in config/tasks.
    """

    minutes: float = 20.0
    episodes: int = 40
    rollouts: int = 20
    realtime: float = 24.0
    success_flag: str = "success"
    graphs: int = 1
    task: str = "scissors"

    def as_mapping(self) -> dict[str, Any]:
        """For the run's state and report."""
        return asdict(self)
