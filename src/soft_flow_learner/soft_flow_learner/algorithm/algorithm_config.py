"""Configuration of the algorithm: what holds in every stage, and what a stage sets anew."""

from typing import Annotated

from pydantic import Field

from soft_flow_contract.strict_model import StrictModel
from soft_flow_learner.algorithm.chunk_critic import CriticConfig

Positive = Annotated[float, Field(gt=0)]
NotNegative = Annotated[float, Field(ge=0)]


class AlgorithmConfig(StrictModel):
    """Of SOFT-FLOW as a whole."""

    critic: CriticConfig = CriticConfig()
    discount: Annotated[float, Field(gt=0, le=1)] = 0.997  # gamma, a step
    target_rate: Annotated[float, Field(gt=0, le=1)] = 0.005  # tau of the target network, an update
    temperature: Annotated[float, Field(ge=0)] = 0.5  # of the policy's chunks in targets and actor loss
    return_floor: bool = True  # targets are at least the return that was observed
    gradient_clip: Positive = 1.0  # norm, for actor and critic each
    weight_decay: NotNegative = 1e-4
    average_decay: Annotated[float, Field(ge=0, lt=1)] = 0.995  # of the averaged actor, which acts


class Objective(StrictModel):
    """Weights of the actor's loss in a stage, and the learning rates."""

    q_weight: NotNegative = 1.0  # lambda before it is normalized by mean |Q|; 0: the control
    beta: NotNegative = 30.0  # of the likelihood of data, nats a dimension
    box_weight: NotNegative = 1.0  # of the squared distance of sampled actions from the box [-1, 1]
    entropy_weight: NotNegative = 0.0  # alpha, of log pi of the policy's own chunks
    failure_weight: NotNegative = 0.0  # of the likelihood of chunks from episodes that failed
    advantage_temperature: NotNegative = 0.0  # likelihood weighted by exp(advantage / this); 0: not weighted
    advantage_limit: Positive = 5.0  # largest such weight
    choice_weight: NotNegative = 0.0  # of the likelihood of what the critic chooses of the policy's chunks,
    choices: Annotated[int, Field(ge=2)] = 8  # so many an observation
    trust_weight: NotNegative = 0.0  # of KL(policy at the start of the stage || policy), in its own samples
    actor_learning_rate: NotNegative = 1e-4
    critic_learning_rate: NotNegative = 3e-4
    model_learning_rate: NotNegative = 1e-3  # of the critic's forward model
    train_actor: bool = True
    train_critic: bool = True
    freeze_cameras: bool = True  # image encoders keep what imitation taught them
