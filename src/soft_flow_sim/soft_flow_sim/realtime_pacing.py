"""Maps simulated time to the wall clock at a factor, and gives way when the machine cannot keep up."""


class RealtimePacing:
    """Anchors simulated stamps to a steady wall clock.

    When the simulation is late by more than `tolerance_ns`, the anchor moves: time lost is lost, and the
    ticks that follow are not hurried.

    Attributes:
        lost_ns: wall time by which the anchor has moved in all.
        slips: how often it moved.
    """

    def __init__(self, factor: float, tolerance_ns: int) -> None:
        """Simulated seconds pass `factor` times as fast as the wall clock's; factor > 0."""
        self._factor, self._tolerance = factor, tolerance_ns
        self._simulated = self._wall = 0
        self.lost_ns, self.slips = 0, 0

    def anchor(self, simulated_ns: int, wall_ns: int) -> None:
        """Let this simulated stamp be at this wall time."""
        self._simulated, self._wall = simulated_ns, wall_ns

    def wall(self, simulated_ns: int) -> int:
        """Wall time of a simulated stamp, in nanoseconds."""
        return self._wall + round((simulated_ns - self._simulated) / self._factor)

    def remaining(self, simulated_ns: int, wall_ns: int) -> int:
        """Wall nanoseconds until a simulated stamp is due; 0 when it is due or late."""
        late = wall_ns - self.wall(simulated_ns)
        if late > self._tolerance:
            self.anchor(simulated_ns, wall_ns)
            self.lost_ns += late
            self.slips += 1
        return max(-late, 0)
