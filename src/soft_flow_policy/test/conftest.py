import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch

from soft_flow_contract.task_specification import TaskSpecification
from soft_flow_policy.policy import FlowPolicy
from soft_flow_policy.policy_config import FlowPolicyConfig

sys.path.insert(0, str(Path(__file__).parent))

TASK_FILE = Path(__file__).parents[3] / "config" / "tasks" / "scissors.yaml"


def _randomize_heads(module: torch.nn.Module, deviation: float = 0.1) -> None:
    """Heads and static affine maps start at zero, where every law holds vacuously."""
    for name, parameter in module.named_parameters():
        if "head." in name or name.endswith(("log_scale", "bias")):
            torch.nn.init.normal_(parameter, std=deviation)


def _make_observations(specification: TaskSpecification, count: int, seed: int = 0) -> dict:
    generator = np.random.default_rng(seed)
    images = {
        camera.name: torch.from_numpy(
            generator.integers(0, 256, (count, camera.height, camera.width, 3), dtype=np.uint8)
        )
        for camera in specification.observation.cameras
    }
    proprioception = generator.uniform(-1, 1, (count, specification.proprioception_dimension))
    return {"proprioception": torch.from_numpy(proprioception.astype(np.float32)), "images": images}


def _make_policy(specification: TaskSpecification, seed: int = 0, **config: object) -> FlowPolicy:
    torch.manual_seed(seed)
    policy = FlowPolicy(FlowPolicyConfig(**config), specification)
    _randomize_heads(policy)
    time = torch.linspace(0, 1, specification.chunk.length)[None, :, None]
    chunks = torch.sin(3 * time + torch.rand(64, 1, specification.action_dimension) * 6)
    proprioception = _make_observations(specification, 64)["proprioception"]
    policy.fit_normalizers(proprioception, chunks * 0.5)
    return policy.eval()


@pytest.fixture(scope="session")
def specification() -> TaskSpecification:
    return TaskSpecification.load(TASK_FILE)


@pytest.fixture(scope="session")
def policy(specification: TaskSpecification) -> FlowPolicy:
    return _make_policy(specification)


@pytest.fixture(autouse=True)
def one_thread() -> None:
    torch.set_num_threads(1)


@pytest.fixture(scope="session")
def make_observations() -> Callable[..., dict]:
    return _make_observations


@pytest.fixture(scope="session")
def make_policy() -> Callable[..., FlowPolicy]:
    return _make_policy
