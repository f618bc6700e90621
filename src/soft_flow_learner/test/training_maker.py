"""Makes what the command line of training begins with, and its arguments."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import yaml
from bag_maker import small_specification, write_episode

SPECIFICATION = small_specification()


def write_training_folder(path: Path, config: Mapping[str, Any], outcomes: Sequence[str]) -> Path:
    """Bags of episodes with these outcomes, a task file and a configuration."""
    for seed, outcome in enumerate(outcomes):
        write_episode(path / "bags" / f"episode-{seed}", SPECIFICATION, seed=seed, outcome=outcome)
    (path / "task.yaml").write_text(yaml.safe_dump(SPECIFICATION.model_dump(mode="json")))
    (path / "learner.yaml").write_text(yaml.safe_dump(dict(config)))
    return path


def arguments(folder: Path, output: Path, *more: str) -> list[str]:
    """A new run from what `write_training_folder` left in `folder`."""
    files = ["--threads", "1", "--task", str(folder / "task.yaml"), "--config", str(folder / "learner.yaml")]
    return ["--bags", str(folder / "bags"), *files, "--output", str(output), *more]
