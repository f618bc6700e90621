import sys
from pathlib import Path

import pytest

from soft_flow_contract.task_specification import TaskSpecification

sys.path.insert(0, str(Path(__file__).parent))

TASK_FILE = Path(__file__).parents[3] / "config" / "tasks" / "scissors.yaml"


@pytest.fixture(scope="session")
def specification() -> TaskSpecification:
    return TaskSpecification.load(TASK_FILE)
