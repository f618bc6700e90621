"""What an arm of an experiment is: SOFT-FLOW with one thing exchanged."""

from collections.abc import Callable
from dataclasses import dataclass

from learning.experiment_config import ExperimentConfig
from soft_flow_contract.task_specification import TaskSpecification
from soft_flow_policy.policy import FlowPolicy
from soft_flow_policy.policy_config import FlowPolicyConfig


def unchanged(config: ExperimentConfig) -> ExperimentConfig:
    """The configuration as it is."""
    return config


@dataclass(frozen=True)
class Arm:
    """An arm.

    Attributes:
        name: in options and folders.
        label: in tables and plots.
        make_policy: a policy with random weights.
        configure: what the arm changes in the configuration.
        critic_horizon: how many actions its critic values; None: the executed part of a chunk.
        imitation_only: it has no stages after imitation.
        has_likelihood: its loss of imitation is a likelihood, to be compared with that of others.
    """

    name: str
    label: str
    make_policy: Callable[[FlowPolicyConfig, TaskSpecification], FlowPolicy] = FlowPolicy
    configure: Callable[[ExperimentConfig], ExperimentConfig] = unchanged
    critic_horizon: int | None = None
    imitation_only: bool = False
    has_likelihood: bool = True
