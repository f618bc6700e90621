"""Everything that decides an experiment, by budget, and how single values are overridden."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Annotated, Any

import yaml
from pydantic import Field

from soft_flow_contract.errors import SpecificationError
from soft_flow_contract.strict_model import YamlModel
from soft_flow_learner.algorithm.algorithm_config import AlgorithmConfig
from soft_flow_learner.learner_config import ImitationConfig
from soft_flow_learner.training.stage_config import StageConfig, StagesConfig
from soft_flow_policy.policy_config import FlowPolicyConfig

Count = Annotated[int, Field(ge=1)]
NotNegative = Annotated[float, Field(ge=0)]
BUDGETS = ("smoke", "default", "paper")
_STAGES = StagesConfig()


class ExperimentConfig(YamlModel):
    """An experiment but for its arm and seed."""

    policy: FlowPolicyConfig = FlowPolicyConfig()
    algorithm: AlgorithmConfig = AlgorithmConfig()
    imitation: ImitationConfig = ImitationConfig()
    warmup: StageConfig = _STAGES.warmup
    offline: StageConfig = _STAGES.offline
    online: StageConfig = _STAGES.online  # its updates are those of a round
    demonstrations: Count = 121
    rounds: Annotated[int, Field(ge=0)] = 10  # of rollouts, then updates
    episodes_per_round: Count = 10
    starts: Count = 100  # held-out starts of an evaluation
    fixed_starts: Annotated[int, Field(ge=0)] = 0  # episodes of an evaluation from the nominal start
    temperature: NotNegative = 0.3  # of the policy in evaluations
    rollout_temperature: NotNegative = 0.5  # of the policy in online rollouts
    candidates: Count = 1  # of which the critic chooses a chunk once there is one
    candidate_temperature: NotNegative = 0.5  # of the policy where the critic chooses
    likely_fraction: Annotated[float, Field(gt=0, le=1)] = 1.0  # of the candidates, for the critic
    aligned: bool = False  # chunks of the critic start only where executed ones can have started
    save_seconds: Annotated[float, Field(gt=0)] = 120.0


def merged(base: Mapping[str, Any], top: Mapping[str, Any]) -> dict[str, Any]:
    """`base` with the values of `top`, mappings merged key by key."""
    result = dict(base)
    for key, value in top.items():
        old = result.get(key)
        if isinstance(old, Mapping) and isinstance(value, Mapping):
            value = merged(old, value)
        result[key] = value
    return result


def parse_override(text: str) -> dict[str, Any]:
    """`offline.objective.beta=1` as nested mappings; the value is YAML.

    Raises:
        SpecificationError: it is no assignment.
    """
    place, separator, value = text.partition("=")
    if not separator or not place:
        raise SpecificationError(f"--set {text}: expected KEY=VALUE such as offline.objective.beta=1")
    result: Any = yaml.safe_load(value)
    for key in reversed(place.split(".")):
        result = {key: result}
    return result


def load_config(path: Path, budget: str, overrides: Sequence[str] = ()) -> ExperimentConfig:
    """The configuration of a budget: built-in values, the file's `default`, its budget, overrides.

    Raises:
        SpecificationError: the file or an override does not fit; unknown keys are named.
    """
    budgets = yaml.safe_load(path.read_text(encoding="utf-8"))
    if budget not in budgets:
        raise SpecificationError(f"{path}: has no budget '{budget}'; it has {', '.join(budgets)}")
    data = ExperimentConfig().model_dump(mode="json")
    source = f"{path.name}, budget {budget}"
    for part in (budgets["default"], budgets[budget], *map(parse_override, overrides)):
        data = merged(data, part)
    return ExperimentConfig.from_mapping(data, source)
