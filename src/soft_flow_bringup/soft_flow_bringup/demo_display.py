"""Progress of the demo on the terminal: one line a phase, or plain lines where there is no terminal."""

import time
from types import TracebackType

from rich.console import Console
from rich.progress import BarColumn, Progress, SpinnerColumn, TaskID, TextColumn, TimeElapsedColumn
from typing_extensions import Self

LINE_INTERVAL = 15.0  # s between lines without a terminal


class PhaseDisplay:
    """Shows how far one phase is."""

    def __init__(self, console: Console, title: str) -> None:
        """Start a line for the phase `title`."""
        self._console, self._title, self._last = console, title, 0.0
        self._progress = Progress(
            SpinnerColumn(finished_text="[green]✓"),
            TextColumn("{task.description}"),
            BarColumn(bar_width=30),
            TimeElapsedColumn(),
            TextColumn("[dim]{task.fields[text]}"),
            console=console,
            disable=not console.is_terminal,
            refresh_per_second=4,
        )
        self._task: TaskID = self._progress.add_task(f"{title:<16}", total=None, text="starting")

    def show(self, done: float, total: float, text: str) -> None:
        """Show `done` of `total` with a remark."""
        self._progress.update(self._task, completed=min(done, total), total=total, text=text)
        if not self._console.is_terminal and time.monotonic() - self._last > LINE_INTERVAL:
            self._last = time.monotonic()
            self._console.print(f"{self._title}: {text}", highlight=False)

    def finish(self, text: str) -> None:
        """Show the result of the phase."""
        self._progress.update(self._task, completed=1, total=1, text=text)
        if not self._console.is_terminal:
            self._console.print(f"{self._title}: {text}", highlight=False)

    def __enter__(self) -> Self:
        """Begin to draw."""
        self._progress.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Leave the line as it is."""
        self._progress.stop()
