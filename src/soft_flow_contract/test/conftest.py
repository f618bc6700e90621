import copy
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import yaml
from hypothesis import HealthCheck, settings

from soft_flow_contract.task_specification import TaskSpecification

# A law is about values, and this machine may be busy: no limit on the time of an example.
settings.register_profile("untimed", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("untimed")

TASK_FILE = Path(__file__).parents[3] / "config" / "tasks" / "scissors.yaml"


@pytest.fixture(scope="session")
def specification() -> TaskSpecification:
    return TaskSpecification.load(TASK_FILE)


@pytest.fixture
def task_file() -> Path:
    return TASK_FILE


@pytest.fixture
def changed() -> Callable[..., dict[str, Any]]:
    """The scissors task as a mapping with one value changed: `changed("chunk", "length", value=5)`."""
    data = yaml.safe_load(TASK_FILE.read_text(encoding="utf-8"))

    def change(*path: str | int, value: Any = None, remove: bool = False) -> dict[str, Any]:
        copied = copy.deepcopy(data)
        place: Any = copied
        for part in path[:-1]:
            place = place[part]
        if remove:
            del place[path[-1]]
        elif path:
            place[path[-1]] = value
        return copied

    return change
