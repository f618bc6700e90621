"""Show what the processes of a launched graph print, each line prefixed with its process in a colour."""

from __future__ import annotations

from collections.abc import Iterable

from rich.console import Console
from rich.text import Text

_COLOURS = ("cyan", "green", "yellow", "blue", "magenta", "bright_cyan", "bright_green", "bright_magenta")


class LaunchOutput:
    """Writes lines and events; without a terminal the same text without colours.

    Args:
        console: where to write.
    """

    def __init__(self, console: Console | None = None) -> None:
        self._console = console or Console(stderr=False, highlight=False, soft_wrap=True)
        self._colours: dict[str, str] = {}

    def line(self, label: str, text: str) -> None:
        """Show one line of a process's output."""
        self._write(label, Text.from_ansi(text))

    def event(self, label: str, text: str, bad: bool = False) -> None:
        """Show what happened to a process."""
        self._write(label, Text(text, style="bold red" if bad else "dim"))

    def failure(self, label: str, how: str, tail: Iterable[str]) -> None:
        """Show that a process died, with the last lines that it printed."""
        lines = list(tail)
        self.event(
            label, f"died ({how}); its last {len(lines)} lines:" if lines else f"died ({how})", bad=True
        )
        for line in lines:
            self._write(label, Text("  | ") + Text.from_ansi(line))

    def _write(self, label: str, text: Text) -> None:
        colour = self._colours.setdefault(label, _COLOURS[len(self._colours) % len(_COLOURS)])
        self._console.print(Text(f"[{label}] ", style=colour) + text)
