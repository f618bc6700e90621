"""SOFT-FLOW whose critic sees proprioception as it is, not as a chunk will leave it, as in the paper."""

from learning.arms.arm import Arm
from learning.experiment_config import ExperimentConfig


def configure(config: ExperimentConfig) -> ExperimentConfig:
    """No forward model."""
    critic = config.algorithm.critic.model_copy(update={"forward_model": False})
    algorithm = config.algorithm.model_copy(update={"critic": critic})
    return config.model_copy(update={"algorithm": algorithm})


NO_FORWARD_MODEL = Arm("no_forward_model", "SOFT-FLOW, no forward model", configure=configure)
