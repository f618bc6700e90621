import gc
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from domain_coordinator import domain_id
from hypothesis import HealthCheck, settings

from soft_flow_contract.task_specification import TaskSpecification

sys.path.insert(0, str(Path(__file__).parent))

from arbiter_maker import make_arbiter  # noqa: E402
from fake_cell import TASK_FILE, Graph  # noqa: E402

from soft_flow_episode.arbiter import Arbiter  # noqa: E402

# A law is about values, and this machine may be busy: no limit on the time of an example.
settings.register_profile("untimed", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("untimed")


@pytest.fixture(scope="session")
def specification() -> TaskSpecification:
    return TaskSpecification.load(TASK_FILE)


@pytest.fixture(scope="session")
def message_folder() -> Path:
    return Path(__file__).parents[2] / "soft_flow_msgs" / "msg"


@pytest.fixture
def graph() -> Iterator[Graph]:
    """A ROS context in a domain of its own, so that tests run side by side."""
    gc.collect()  # actions keep nodes in reference cycles: those of an earlier test would speak to this one
    with domain_id() as domain:
        graph = Graph(domain)
        yield graph
        graph.close()


@pytest.fixture
def latch_file(tmp_path: Path) -> Path:
    return tmp_path / "latch.json"


@pytest.fixture
def arbiter(latch_file: Path) -> Arbiter:
    return make_arbiter(latch_file)
