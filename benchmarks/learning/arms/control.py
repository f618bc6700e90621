"""The control: the identical schedule without the critic, so that any gain over it comes from values.

Its critic would be trained and never asked; it is left out, and its settings are the same always.
"""

from learning.arms.arm import Arm
from learning.experiment_config import ExperimentConfig
from soft_flow_learner.algorithm.chunk_critic import CriticConfig
from soft_flow_learner.training.stage_config import StageConfig


def without_values(stage: StageConfig) -> StageConfig:
    """The stage with no term that asks a critic, and no critic trained."""
    changes = {"q_weight": 0.0, "advantage_temperature": 0.0, "choice_weight": 0.0, "train_critic": False}
    return stage.model_copy(update={"objective": stage.objective.model_copy(update=changes)})


def configure(config: ExperimentConfig) -> ExperimentConfig:
    """The same updates of the actor, on the same data, by likelihood alone."""
    unasked = config.algorithm.model_copy(update={"critic": CriticConfig()})
    return config.model_copy(
        update={
            "algorithm": unasked,
            "warmup": config.warmup.model_copy(update={"updates": 0}),
            "offline": without_values(config.offline),
            "online": without_values(config.online),
            "candidates": 1,
        }
    )


CONTROL = Arm("control", "control (no critic)", configure=configure)
