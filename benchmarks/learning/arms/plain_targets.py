"""SOFT-FLOW whose targets may lie below the return that was observed, as they may in the paper."""

from learning.arms.arm import Arm
from learning.experiment_config import ExperimentConfig


def configure(config: ExperimentConfig) -> ExperimentConfig:
    """Targets by bootstrapping alone."""
    algorithm = config.algorithm.model_copy(update={"return_floor": False})
    return config.model_copy(update={"algorithm": algorithm})


PLAIN_TARGETS = Arm("plain_targets", "SOFT-FLOW, plain targets", configure=configure)
