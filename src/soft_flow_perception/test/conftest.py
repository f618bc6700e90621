import sys
from pathlib import Path

import pytest

from soft_flow_contract.task_specification import TaskSpecification

sys.path.insert(0, str(Path(__file__).parent))

from board_scene import Renderer  # noqa: E402

TASK_FILE = Path(__file__).parents[3] / "config" / "tasks" / "scissors.yaml"


@pytest.fixture(scope="session")
def specification() -> TaskSpecification:
    return TaskSpecification.load(TASK_FILE)


@pytest.fixture(scope="session")
def renderer() -> Renderer:
    """Pictures of a board by a camera that is known."""
    return Renderer()
