"""What imitation left, for all arms of a seed that imitate alike: it is trained and evaluated once."""

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import safetensors
import safetensors.torch
from torch import Tensor

from learning.arms.arm import Arm
from learning.experiment_config import ExperimentConfig
from learning.whole_file import write_whole


@dataclass(frozen=True)
class Imitated:
    """A policy after imitation.

    Attributes:
        weights: of the averaged policy.
        evaluation: what it reached from held-out starts.
        seconds: spent on it, by what was done.
    """

    weights: dict[str, Tensor]
    evaluation: dict[str, Any]
    seconds: dict[str, float]


class SharedImitation:
    """A file that belongs to a kind of policy and all settings of its imitation and evaluation.

    Attributes:
        path: of the file.
    """

    def __init__(self, root: Path, arm: Arm, seed: int, config: ExperimentConfig) -> None:
        """Of an (arm, seed) with the configuration of that arm, under the folder of all arms."""
        fields = ("policy", "imitation", "demonstrations", "starts", "fixed_starts", "temperature")
        settings = config.model_dump(mode="json", include=set(fields))
        kind = f"{arm.make_policy.__module__}.{arm.make_policy.__qualname__}"
        text = json.dumps([kind, settings], sort_keys=True)
        self.path = root / f"{hashlib.sha256(text.encode()).hexdigest()[:12]}-{seed}.safetensors"

    def load(self) -> Imitated | None:
        """What was saved by the first arm that came so far."""
        if not self.path.exists():
            return None
        with safetensors.safe_open(self.path, framework="pt") as file:
            about = json.loads(file.metadata()["about"])
            weights = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118 - no mapping
        return Imitated(weights, about["evaluation"], about["seconds"])

    def save(
        self, weights: Mapping[str, Tensor], evaluation: Mapping[str, Any], seconds: Mapping[str, float]
    ) -> None:
        """Keep it for the other arms; two that come at once write the same."""
        about = json.dumps({"evaluation": evaluation, "seconds": seconds})
        tensors = {name: value.detach().contiguous() for name, value in weights.items()}
        write_whole(self.path, safetensors.torch.save(tensors, metadata={"about": about}))
