"""Lockstep: the cell stands still until the commands of its tick have come; no clock drives it."""

from soft_flow_sim.cell_ports import CellPorts
from soft_flow_sim.simulated_cell import SimulatedCell, TickCommands, next_start


class Lockstep:
    """Publishes tick k, simulates to its phase, waits for both commands stamped t_k, simulates to tick k + 1.

    After the samples of an episode's last tick the answer is still taken, then the cell stands still.
    """

    def __init__(
        self, cell: SimulatedCell, commands: TickCommands, ports: CellPorts, stall_limit: float
    ) -> None:
        """Give up on an answer after `stall_limit` seconds of the steady clock."""
        self._cell, self._commands, self._ports = cell, commands, ports
        self._limit_ns = round(stall_limit * 1e9)
        self._waiting, self._since = False, 0
        self.waits_on_arbiter_for = ""  # what the arbiter says that it waits for

    def begin(self) -> None:
        """Nothing to do before the first reset."""

    def reset(self, seed: int, episode_id: str, grasp_assist: bool) -> int:
        """Set the world; the stamp of the episode's first tick."""
        start = next_start(self._cell.stamp_ns)
        self._cell.reset(seed, episode_id, grasp_assist, start)
        self._commands.clear(start)
        self._waiting = False
        return start

    def start(self) -> tuple[bool, str]:
        """Publish the first tick of the episode that was reset."""
        if self._waiting:
            return False, f"tick {self._cell.stamp_ns} ns already waits for its commands"
        if not self._cell.running:
            return False, "no episode to start; call simulation/reset first"
        self._publish_tick()
        return True, ""

    def _publish_tick(self) -> None:
        stamp = self._cell.stamp_ns
        self._ports.publish_clock(stamp)
        for sample in self._ports.measure(stamp):
            self._ports.publish(sample)
        for image in self._ports.render(stamp):
            self._ports.publish(image)
        self._waiting, self._since = True, self._ports.steady_ns()
        if self._cell.running:
            self._cell.advance_to_phase()  # the old command still holds: done while the others compute

    def on_command(self) -> None:
        """Go on if both commands of the tick are there."""
        if not self._waiting or self._commands.missing(self._cell.stamp_ns):
            return
        self._waiting = False
        if not self._cell.running:
            return  # the answer to the final observation
        outcome = self._cell.finish_tick(self._commands.newest())
        if outcome is not None:
            self._ports.publish_outcome(outcome)
        if not self._cell.broken:
            self._publish_tick()

    def check_stall(self) -> None:
        """End the episode as invalid when an answer has not come for too long; call it now and then."""
        if not self._waiting or self._ports.steady_ns() - self._since < self._limit_ns:
            return
        self._waiting = False
        if self._cell.running:
            self._ports.publish_outcome(self._cell.abort(self._stall_reason()))

    def _stall_reason(self) -> str:
        missing = " and ".join(self._commands.missing(self._cell.stamp_ns))
        waits = f", which waits for {self.waits_on_arbiter_for}" if self.waits_on_arbiter_for else ""
        return (
            f"no {missing} command for tick {self._cell.stamp_ns * 1e-9:.3f} s came from the command arbiter "
            f"within {self._limit_ns * 1e-9:g} s{waits}; check that it runs"
        )

    def on_wake(self) -> None:
        """Lockstep asks for no wake-up."""
