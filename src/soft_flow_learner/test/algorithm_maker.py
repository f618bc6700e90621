"""A small algorithm, and batches for it."""

from pathlib import Path

import torch

from soft_flow_contract.task_specification import TaskSpecification
from soft_flow_learner.algorithm.algorithm_config import AlgorithmConfig
from soft_flow_learner.algorithm.chunk_critic import CriticConfig
from soft_flow_learner.algorithm.learner_batch import LearnerBatch
from soft_flow_learner.algorithm.soft_flow_algorithm import SoftFlow
from soft_flow_policy.observation_encoder import ObservationBatch
from soft_flow_policy.policy import FlowPolicy
from soft_flow_policy.policy_config import FlowPolicyConfig

TASK = TaskSpecification.load(Path(__file__).parents[3] / "config" / "tasks" / "scissors.yaml")
CRITIC = CriticConfig(width=16)
BATCH = 6


def make_algorithm(
    specification: TaskSpecification = TASK,
    cameras: tuple[str, ...] = (),
    critic: CriticConfig = CRITIC,
    **config: object,
) -> SoftFlow:
    """One whose heads, zero at first, are random."""
    torch.manual_seed(0)
    torch.set_num_threads(1)
    policy_config = FlowPolicyConfig(
        cameras=cameras, context_width=16, flow={"width": 16}, image={"channels": [4, 4, 4], "keypoints": 4}
    )
    policy = FlowPolicy(policy_config, specification)
    batch = make_batch(specification, 32)
    policy.fit_normalizers(batch.observation["proprioception"], batch.chunk)
    for name, parameter in policy.named_parameters():
        if "head." in name:
            torch.nn.init.normal_(parameter, std=0.1)
    algorithm = SoftFlow(policy, AlgorithmConfig(critic=critic, **config))
    for each in (algorithm.critic, algorithm.target):
        torch.nn.init.normal_(each.head.weight, std=0.3)
    return algorithm


def make_batch(specification: TaskSpecification = TASK, size: int = BATCH, seed: int = 1) -> LearnerBatch:
    """Random whole windows that do not end the task."""
    generator = torch.Generator().manual_seed(seed)

    def uniform(*shape: int) -> torch.Tensor:
        return torch.rand(shape, generator=generator) * 1.6 - 0.8

    def observation() -> ObservationBatch:
        images = {
            camera.name: torch.randint(
                0, 256, (size, camera.height, camera.width, 3), generator=generator, dtype=torch.uint8
            )
            for camera in specification.observation.cameras
        }
        return ObservationBatch(
            proprioception=uniform(size, specification.proprioception_dimension), images=images
        )

    chunk = uniform(size, specification.chunk.length, specification.action_dimension)
    return LearnerBatch(
        observation=observation(),
        chunk=chunk,
        executed=chunk[:, : specification.chunk.executed],
        next_observation=observation(),
        reward=torch.linspace(0, 1, size),
        bootstrap=torch.linspace(0.9, 0.5, size),
        steps=torch.full((size,), specification.chunk.executed),
        imitated=torch.ones(size),
        observed_return=torch.zeros(size),
    )


def generator() -> torch.Generator:
    """Always the same random numbers."""
    return torch.Generator().manual_seed(7)


def snapshot(module: torch.nn.Module) -> dict[str, torch.Tensor]:
    """The weights as they are now."""
    return {name: value.clone() for name, value in module.state_dict().items()}
