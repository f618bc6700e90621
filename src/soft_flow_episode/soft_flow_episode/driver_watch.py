"""Whether the drivers follow commands; without them nothing is armed."""

from collections.abc import Iterable


class DriverWatch:
    """Keeps the last word of every required driver. Times are seconds of a clock that never goes back."""

    def __init__(self, names: Iterable[str], patience: float) -> None:
        """Watch these drivers (none: a simulated robot without drivers), each heard within `patience` s."""
        self._patience = patience
        self._heard: dict[str, tuple[float, bool, str]] = {}
        self.names = tuple(names)

    def hear(self, name: str, now: float, ready: bool, reason: str) -> None:
        """Take what a driver says of itself."""
        self._heard[name] = now, ready, reason

    def problem(self, now: float) -> str:
        """Why commands would not be followed; empty if they would."""
        for name in self.names:
            if name not in self._heard:
                return f"the {name}'s driver has said nothing yet; is it running?"
            heard, ready, reason = self._heard[name]
            if now - heard > self._patience:
                return f"the {name}'s driver fell silent {now - heard:.1f} s ago; is it running?"
            if not ready:
                return f"the {name}'s driver: {reason or 'not active'}"
        return ""
