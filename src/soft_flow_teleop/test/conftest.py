from pathlib import Path

import pytest

from soft_flow_contract.task_specification import TaskSpecification

TASK_FILE = Path(__file__).parents[3] / "config" / "tasks" / "scissors.yaml"


@pytest.fixture(scope="session")
def specification() -> TaskSpecification:
    return TaskSpecification.load(TASK_FILE)


@pytest.fixture
def task_file() -> Path:
    return TASK_FILE
