"""How old the drivers' newest states are when a command is released."""


class StateFreshness:
    """Keeps the newest stamp of every source that is watched. Stamps are ns of the graph's clock.

    An observation vouches for its samples at its tick only: a driver may have been dead for more than a tick
    before an observation is missed. Each command asks anew.
    """

    def __init__(self, max_age: float = 0.0) -> None:
        """States may be `max_age` s old."""
        self._max_age_ns = round(max_age * 1e9)
        self._newest: dict[str, tuple[int, int] | None] = {}  # stamp, and by how much it is ahead

    def watch(self, source: str) -> None:
        """Require the states of a source from now on."""
        self._newest.setdefault(source, None)

    def hear(self, source: str, stamp_ns: int, now_ns: int) -> None:
        """Take the stamp of a state that has just come."""
        self._newest[source] = stamp_ns, stamp_ns - now_ns

    def problem(self, now_ns: int) -> str:
        """Which source is missing or too old at `now_ns`; empty if none is.

        Stamps farther ahead than the age allowed prove no life: they would look young long after a death.
        """
        limit = self._max_age_ns
        for source, newest in self._newest.items():
            if newest is None:
                return f"{source}: no state has come; check that its driver runs"
            stamp_ns, ahead_ns = newest
            age, allowed = (now_ns - stamp_ns) * 1e-6, limit * 1e-6
            if ahead_ns > limit:
                return (
                    f"{source}: stamped {ahead_ns * 1e-6:.0f} ms ahead of this computer's clock, limit "
                    f"{allowed:.0f} ms; let chrony keep both computers' clocks together"
                )
            if now_ns - stamp_ns > limit:
                return f"{source}: newest state is {age:.0f} ms old, limit {allowed:.0f} ms; check its driver"
        return ""
