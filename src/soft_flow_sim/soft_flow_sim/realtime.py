"""Real time: the cell ticks always; a tick's samples are computed ahead and published when due."""

from typing import Any, Literal

from soft_flow_sim.cell_ports import CellPorts
from soft_flow_sim.realtime_pacing import RealtimePacing
from soft_flow_sim.simulated_cell import CellOutcome, SimulatedCell, TickCommands

Stage = Literal["tick", "phase", "grace"]


class Realtime:
    """Alternates between tick (publish, simulate to the phase) and phase (commands, next tick, render).

    At the phase the newest commands are taken. Those stamped with the tick get `grace_ns` of wall time to
    arrive, since the arbiter releases them when it sees the phase on /clock.
    """

    def __init__(
        self,
        cell: SimulatedCell,
        commands: TickCommands,
        ports: CellPorts,
        pacing: RealtimePacing,
        grace_ns: int,
    ) -> None:
        self._cell, self._commands, self._ports = cell, commands, ports
        self._pacing, self._grace_ns = pacing, grace_ns
        self._stage: Stage = "tick"
        self._tick = 0  # stamp of the last published tick
        self._prepared: list[Any] = []
        self._outcome: CellOutcome | None = None
        self.waits_on_arbiter_for = ""

    def begin(self) -> None:
        """Start ticking; until the first reset with the world of seed 0."""
        start = self._cell.specification.dt_ns
        self._cell.reset(0, "", True, start)
        self._pacing.anchor(start, self._ports.steady_ns())
        self._prepare()

    def reset(self, seed: int, episode_id: str, grasp_assist: bool) -> int:
        """Set the world between two ticks; the stamp of the first tick after."""
        start = self._tick + self._cell.specification.dt_ns
        self._cell.reset(seed, episode_id, grasp_assist, start)
        self._commands.clear(start)
        self._outcome = None
        self._prepare()
        return start

    def start(self) -> tuple[bool, str]:
        """Nothing to do: the cell ticks already."""
        return True, "real time: the cell is ticking"

    def _prepare(self) -> None:
        """Compute the samples of the coming tick ahead of its time."""
        stamp = self._cell.stamp_ns
        if not self._cell.broken:
            self._prepared = [*self._ports.measure(stamp), *self._ports.render(stamp)]
        self._stage = "tick"
        self._wake_at(stamp)

    def _wake_at(self, stamp_ns: int) -> None:
        self._ports.wake_after(self._pacing.remaining(stamp_ns, self._ports.steady_ns()))

    def on_wake(self) -> None:
        """The requested time has come."""
        if self._stage == "tick":
            self._publish_tick()
        elif self._stage == "phase":
            self._reach_phase()
        else:
            self._finish_tick()

    def _publish_tick(self) -> None:
        self._tick = self._cell.stamp_ns
        self._ports.publish_clock(self._tick)
        if self._outcome is not None:
            self._ports.publish_outcome(self._outcome)
        for sample in self._prepared:
            self._ports.publish(sample)
        self._prepared, self._outcome = [], None
        self._cell.advance_to_phase()
        self._stage = "phase"
        self._wake_at(self._tick + self._cell.specification.phase_ns)

    def _reach_phase(self) -> None:
        self._ports.publish_clock(self._tick + self._cell.specification.phase_ns)
        if self._commands.missing(self._tick):
            self._stage = "grace"
            self._ports.wake_after(self._grace_ns)
        else:
            self._finish_tick()

    def on_command(self) -> None:
        """Go on if the commands that the phase waits for are there."""
        if self._stage == "grace" and not self._commands.missing(self._tick):
            self._finish_tick()

    def _finish_tick(self) -> None:
        self._outcome = self._cell.finish_tick(self._commands.newest())
        self._prepare()

    def check_stall(self) -> None:
        """Real time never waits."""
