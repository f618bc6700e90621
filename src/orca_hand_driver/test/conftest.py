import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from domain_coordinator import domain_id
from hypothesis import HealthCheck, settings

sys.path.insert(0, str(Path(__file__).parent))

from bus_process import BusProcess  # noqa: E402
from hand_graph import HandGraph, write_cell  # noqa: E402

# A law is about values, and this machine may be busy: no limit on the time of an example.
settings.register_profile("untimed", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("untimed")


# A busy machine lets a process wait for longer than a robot would: the limits are such that it is no fault.
PATIENT, PATIENT_CELL = {"silence_limit": 1.0}, {"command_timeout": 0.5}


@pytest.fixture(scope="session")
def shared_bus(tmp_path_factory: pytest.TempPathFactory) -> Iterator[BusProcess]:
    process = BusProcess(tmp_path_factory.mktemp("bus"))
    yield process
    process.close()


@pytest.fixture
def bus(shared_bus: BusProcess) -> BusProcess:
    """A simulated hand without faults that all tests share; where it is, the test before left it."""
    shared_bus.reset()
    return shared_bus


@pytest.fixture(autouse=True)
def ros_home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("ROS_HOME", str(tmp_path / "ros"))
    return tmp_path / "ros"


@pytest.fixture
def make_graph(tmp_path: Path) -> Iterator[Callable[..., HandGraph]]:
    """Make a driver of the hand on a bus, in a ROS domain of its own; `hand` changes the cell."""
    with domain_id() as domain:
        graphs: list[HandGraph] = []

        def make(
            bus: BusProcess,
            hand: dict[str, object] | None = None,
            without: tuple[str, ...] = (),
            **parameters: object,
        ) -> HandGraph:
            cell = write_cell(tmp_path, bus, **PATIENT_CELL, **(hand or {}))
            if not (tmp_path / "hand.yaml").exists():
                bus.write_calibration(tmp_path / "hand.yaml", without)
            bus.mark()
            graphs.append(HandGraph(domain, bus, cell, **{**PATIENT, **parameters}))
            return graphs[-1]

        yield make
        for graph in graphs:
            graph.close()
