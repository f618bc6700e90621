"""The stages as one declarative schedule. Unknown keys are refused by name (see `StrictModel`)."""

from typing import Annotated

from pydantic import Field, model_validator
from typing_extensions import Self

from soft_flow_contract.strict_model import StrictModel
from soft_flow_learner.algorithm.algorithm_config import Objective
from soft_flow_learner.errors import LearnerError
from soft_flow_learner.replay.data_filter import DataFilter

SUCCESSES = DataFilter(outcomes=("success",))
DEMONSTRATIONS = DataFilter(sources=("demonstration",))
ROLLOUTS = DataFilter(sources=("policy", "intervention"))


class DataShare(StrictModel):
    """A part of every batch."""

    data: DataFilter = DataFilter()
    share: Annotated[float, Field(gt=0, le=1)] = 1.0


class StageConfig(StrictModel):
    """One stage after imitation: what is trained, on what, for how long."""

    updates: Annotated[int, Field(ge=0)] = 5000  # online: of each round
    batch: Annotated[int, Field(ge=2)] = 128
    warm_up: Annotated[int, Field(ge=0)] = 100  # updates over which the learning rates rise
    data: tuple[DataShare, ...] = (DataShare(),)
    imitated: DataFilter = SUCCESSES  # episodes whose likelihood is raised in full
    objective: Objective = Objective()

    @model_validator(mode="after")
    def _whole(self) -> Self:
        total = sum(share.share for share in self.data)
        if abs(total - 1) > 1e-6:
            raise ValueError(f"data: the shares must add up to 1, they add up to {total:g}")
        return self


class StagesConfig(StrictModel):
    """The stages after imitation, which has its own configuration."""

    warmup: StageConfig = StageConfig(objective=Objective(train_actor=False))
    offline: StageConfig = StageConfig(updates=20_000)
    online: StageConfig = StageConfig(
        updates=1000,
        data=(
            DataShare(data=DEMONSTRATIONS, share=0.5),
            DataShare(data=ROLLOUTS, share=0.5),
        ),
    )
    replay_steps: Annotated[int, Field(ge=2)] = (
        100_000  # capacity of the replay; the oldest episodes go first
    )
    evaluation_interval: Annotated[int, Field(ge=1)] = 500  # updates between looks at held-out episodes
    checkpoint_interval: Annotated[int, Field(ge=1)] = 1000  # updates between checkpoints,
    checkpoint_seconds: Annotated[float, Field(gt=0)] = 60.0  # or so long, whichever comes first
    # Alarms, on running means: a stage is stopped when one is exceeded.
    divergence: Annotated[float, Field(gt=0)] = 5.0  # likelihood (or critic's loss) above its best
    largest_outside: Annotated[float, Field(gt=0)] = 0.05  # fraction of targets outside the critic's support
    largest_box: Annotated[float, Field(gt=0)] = 0.1  # mean squared distance of actions from [-1, 1]

    def stage(self, name: str) -> StageConfig:
        """The stage of this name.

        Raises:
            LearnerError: there is none.
        """
        stages = {"warmup": self.warmup, "offline": self.offline, "online": self.online}
        if name not in stages:
            raise LearnerError(f"stage '{name}': expected one of imitation, {', '.join(stages)}")
        return stages[name]
