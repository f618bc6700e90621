"""Configuration of training. Unknown keys are refused by name (see `StrictModel`)."""

from typing import Annotated

from pydantic import Field

from soft_flow_contract.strict_model import StrictModel, YamlModel
from soft_flow_learner.algorithm.algorithm_config import AlgorithmConfig
from soft_flow_learner.training.stage_config import StagesConfig
from soft_flow_policy.policy_config import FlowPolicyConfig

Positive = Annotated[float, Field(gt=0)]
Fraction = Annotated[float, Field(ge=0, lt=1)]
Count = Annotated[int, Field(ge=1)]


class ImitationConfig(StrictModel):
    """Stage 1: maximum likelihood of the demonstrations' chunks."""

    updates: Count = 20_000  # when neither --updates nor --minutes is given
    batch: Count = 64  # chunks an update
    learning_rate: Positive = 2e-3  # AdamW, after the warm-up
    final_learning_rate: Fraction = 0.02  # of learning_rate, where the cosine ends
    warm_up: Annotated[int, Field(ge=0)] = 100  # updates over which the learning rate rises
    weight_decay: Annotated[float, Field(ge=0)] = 1e-4  # of matrices; norms and biases have none
    gradient_clip: Positive = 1.0  # norm
    foresight_weight: Annotated[float, Field(ge=0)] = 1.0  # of the foresight loss; 0: none
    foresight_steps: tuple[Count, ...] = (16, 32, 64)  # how far ahead proprioception is foreseen
    foresight_fields: tuple[str, ...] = ("flange_position", "flange_rotation")  # where the arm will be
    average_decay: Fraction = 0.995  # of the averaged weights, which are evaluated and exported
    held_out: Fraction = 0.1  # of the episodes, for the likelihood of unseen demonstrations
    held_out_rows: Count = 256  # at most so many chunks of them, evenly spread
    evaluation_interval: Count = 200  # updates between evaluations on the held-out episodes
    checkpoint_interval: Count = 1000  # updates between checkpoints,
    checkpoint_seconds: Positive = 60.0  # or so long, whichever comes first
    divergence: Positive = 5.0  # nats a dimension above the best running loss at which training is stopped


class LearnerConfig(YamlModel):
    """All of training."""

    policy: FlowPolicyConfig = FlowPolicyConfig()
    imitation: ImitationConfig = ImitationConfig()
    algorithm: AlgorithmConfig = AlgorithmConfig()
    stages: StagesConfig = StagesConfig()
