from pathlib import Path

from soft_flow_learner.learner_config import LearnerConfig

CONFIG = Path(__file__).resolve().parents[3] / "config"


def leaves(values: object, path: str = "") -> dict[str, object]:
    if not isinstance(values, dict):
        return {path: values}
    parts = (leaves(value, f"{path}.{name}") for name, value in values.items())
    return {name: value for part in parts for name, value in part.items()}


def test_the_commented_configuration_says_what_is_built_in() -> None:
    assert LearnerConfig.load(CONFIG / "learner.yaml") == LearnerConfig()


def test_the_configuration_for_short_runs_changes_how_values_spread_and_no_shape() -> None:
    usual = leaves(LearnerConfig().model_dump())
    short = leaves(LearnerConfig.load(CONFIG / "learner_short.yaml").model_dump())
    changed = {name for name, value in short.items() if value != usual[name]}
    of_every_stage = ("updates", "batch", "warm_up", "objective.critic_learning_rate")
    expected = {
        f".stages.{stage}.{name}" for stage in ("warmup", "offline", "online") for name in of_every_stage
    }
    run_wide = {".algorithm.target_rate", ".stages.evaluation_interval"}
    assert changed == expected | run_wide
