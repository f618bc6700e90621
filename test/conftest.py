import os
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
import yaml

from soft_flow_bringup.graph_commands import own_domain

ROOT = Path(__file__).parents[1]
sys.path.insert(0, str(Path(__file__).parent))
TASK_FILE = ROOT / "config" / "tasks" / "scissors.yaml"


@pytest.fixture
def graph_environment(tmp_path: Path) -> Iterator[dict[str, str]]:
    """The environment of a graph of its own: another domain, no latch of an earlier emergency stop."""
    with own_domain() as environment:
        yield {**environment, "ROS_HOME": str(tmp_path / "ros"), "OMP_NUM_THREADS": "1"}


@pytest.fixture
def make_short_task(tmp_path: Path) -> Callable[[int], Path]:
    """Makes a scissors task whose episodes are cut off after a few steps."""

    def make(max_steps: int) -> Path:
        data = yaml.safe_load(TASK_FILE.read_text(encoding="utf-8"))
        data["episode"]["max_steps"] = max_steps
        path = tmp_path / "short.yaml"
        path.write_text(yaml.safe_dump(data), encoding="utf-8")
        return path

    return make


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Graphs of several processes share the machine's cores: give them time."""
    for item in items:
        if Path(__file__).parent in item.path.parents:
            item.add_marker(pytest.mark.timeout(240))


os.environ.setdefault("ROS_AUTOMATIC_DISCOVERY_RANGE", "LOCALHOST")
