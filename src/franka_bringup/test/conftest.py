import importlib.util
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from domain_coordinator import domain_id
from hypothesis import HealthCheck, settings

sys.path.insert(0, str(Path(__file__).parent))

from arm_process import ArmProcess  # noqa: E402

if TYPE_CHECKING:
    from bridge_graph import BridgeGraph

# There are no wheels of franky for some versions of Python: what needs it is left out there.
if importlib.util.find_spec("franky") is None:
    collect_ignore = [
        "test_arm_model.py", "test_bridge_process.py", "test_fci_bridge_node.py", "test_lost_controller.py"
    ]  # fmt: skip

# A law is about values, and this machine may be busy: no limit on the time of an example.
settings.register_profile("untimed", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("untimed")


@pytest.fixture(scope="session")
def server() -> Iterator[ArmProcess]:
    """A simulated arm that all tests share; one that kills it makes its own."""
    process = ArmProcess()
    yield process
    process.close()


@pytest.fixture
def own_server() -> Iterator[ArmProcess]:
    process = ArmProcess()
    yield process
    process.close()


@pytest.fixture
def make_graph(tmp_path: Path) -> Iterator[Callable[..., "BridgeGraph"]]:
    """Make a bridge to the arm at an address, in a ROS domain of its own; `arm` changes the cell.

    The machine of a test may be busy: timeouts are three times as long, but for the same rate.
    """
    from bridge_graph import BridgeGraph, write_cell

    with domain_id() as domain:
        graphs: list[BridgeGraph] = []

        def make(address: str, arm: dict[str, object] | None = None, **parameters: object) -> BridgeGraph:
            cell = write_cell(tmp_path, address, **(arm or {}))
            scale = float(parameters.get("time_scale", 3.0))
            given = {"time_scale": scale, "state_rate": 200.0 * scale, **parameters}
            graphs.append(BridgeGraph(domain, cell, **given))
            return graphs[-1]

        yield make
        for graph in graphs:
            graph.close()
