"""What is measured of a graph that runs in this ROS domain, if one does: by listening to its topics."""

from collections.abc import Sequence
from typing import Any

from soft_flow_bringup.robot_doctor.probe_process import run_probe
from soft_flow_bringup.robot_doctor.spread import Spread
from soft_flow_contract.strict_model import StrictModel

_PROBE_LIMIT = 25.0  # s


class TopicMeasured(StrictModel):
    """A stamped topic over about two seconds.

    Attributes:
        publishers: how many nodes publish it.
        messages: how many came.
        rate: messages a second of the graph's time: in a simulated world at half speed half as many come.
        intervals: between arrivals, or between stamps of a simulated graph.
        ages: arrival minus stamp, in the graph's time; negative ones are stamps of the future.
    """

    publishers: int
    messages: int
    rate: float
    intervals: Spread | None
    ages: Spread | None


class DriverSaid(StrictModel):
    """The state of a driver (a number of soft_flow_msgs/DriverState), and its reason."""

    state: int
    reason: str


class GraphMeasured(StrictModel):
    """What the graph says.

    Attributes:
        problem: why nothing was heard, in words: the probe failed.
        running: whether a node of a robot's graph was seen.
        simulated_time: whether it has a /clock.
        topics: the stamped ones, by name; cameras as `cameras/NAME/image_raw`.
        drivers: of arm and hand, if they said something.
        command_publishers: nodes that publish commands, by topic.
        emergency_stopped: as the arbiter says; None if it says nothing.
    """

    problem: str = ""
    running: bool = False
    simulated_time: bool = False
    topics: dict[str, TopicMeasured] = {}
    drivers: dict[str, DriverSaid] = {}
    command_publishers: dict[str, tuple[str, ...]] = {}
    emergency_stopped: bool | None = None

    def drives(self, part: str) -> bool:
        """Whether the driver of `arm` or `hand` runs, and so has the hardware."""
        return part in self.drivers

    @property
    def cameras(self) -> list[str]:
        """Names of cameras that are published."""
        return [name.split("/")[1] for name in self.topics if name.startswith("cameras/")]


def measure_graph(cameras: Sequence[str], seconds: float = 2.0) -> GraphMeasured:
    """Listen to the graph for a few seconds; `cameras` are those of cell and task."""
    module = "soft_flow_bringup.robot_doctor.graph_probe_node"
    answer = run_probe(module, [str(seconds), *cameras], _PROBE_LIMIT)
    told: dict[str, Any] = answer.measured or {"problem": answer.problem}
    return GraphMeasured.model_validate(told)
