"""What the pace of a simulated cell needs; the node implements it with topics and timers."""

from collections.abc import Iterator
from typing import Any, Protocol

from soft_flow_sim.simulated_cell import CellOutcome


class CellPorts(Protocol):
    """Samples are opaque here: what `measure` and `render` return goes to `publish`."""

    def steady_ns(self) -> int:
        """The wall's steady clock, in nanoseconds."""

    def wake_after(self, delay_ns: int) -> None:
        """Call the pace's `on_wake` once after this wall time, in place of any earlier request."""

    def publish_clock(self, stamp_ns: int) -> None:
        """Let the simulated time be `stamp_ns`."""

    def measure(self, stamp_ns: int) -> list[Any]:
        """Read all sensors but the cameras."""

    def render(self, stamp_ns: int) -> Iterator[Any]:
        """Render the cameras one by one."""

    def publish(self, sample: Any) -> None:
        """Publish one sample."""

    def publish_outcome(self, outcome: CellOutcome) -> None:
        """Publish the outcome of a tick; loudly if it is not valid."""
