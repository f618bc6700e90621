"""Which episodes an update may see: part of the configuration of a stage."""

from typing import Literal

from soft_flow_contract.strict_model import StrictModel
from soft_flow_learner.episode import Source
from soft_flow_learner.replay.replay_buffer import StoredEpisode


class DataFilter(StrictModel):
    """Conditions that must all hold; None: no condition."""

    outcomes: tuple[Literal["success", "failure"], ...] | None = None
    sources: tuple[Source, ...] | None = None  # who acted
    reached: str | None = None  # a stage of the task, or "success"

    def admits(self, stored: StoredEpisode) -> bool:
        """Whether an episode may be seen."""
        return (
            (self.outcomes is None or stored.outcome in self.outcomes)
            and (self.sources is None or stored.source in self.sources)
            and (self.reached is None or self.reached in stored.reached)
        )


ALL_DATA = DataFilter()
