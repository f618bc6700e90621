"""How old the drivers' newest states are when a command is released."""


class StateFreshness:
    """Keeps the newest stamp of every source that is watched. Stamps are ns of the graph's clock.

    An observation vouches for its samples at its tick only: a driver may have been dead for more than a tick
    before an observation is missed. Each command asks anew.
    """

    def __init__(self, max_age: float = 0.0) -> None:
        """States may be `max_age` s old."""
        self._max_age_ns = round(max_age * 1e9)
        self._newest: dict[str, int | None] = {}

    def watch(self, source: str) -> None:
        """Require the states of a source from now on."""
        self._newest.setdefault(source, None)

    def hear(self, source: str, stamp_ns: int, now_ns: int) -> None:
        """Take a stamp. One farther ahead than the age allowed proves no life, but a wrong clock."""
        newest = self._newest[source]
        if stamp_ns <= now_ns + self._max_age_ns and (newest is None or stamp_ns > newest):
            self._newest[source] = stamp_ns

    def problem(self, now_ns: int) -> str:
        """Which source is missing or too old at `now_ns`; empty if none is."""
        for source, newest in self._newest.items():
            if newest is None:
                return f"{source}: no state has come; check that its driver runs"
            if now_ns - newest > self._max_age_ns:
                age, limit = (now_ns - newest) * 1e-6, self._max_age_ns * 1e-6
                return f"{source}: newest state is {age:.0f} ms old, limit {limit:.0f} ms; check its driver"
        return ""
