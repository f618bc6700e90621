"""Progress of training: a bar with the time that remains, or plain lines where there is no terminal."""

import time

from rich.console import Console
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    TextColumn,
    TimeElapsedColumn,
    TimeRemainingColumn,
)
from typing_extensions import Self

LINE_INTERVAL = 15.0  # seconds between lines without a terminal


class TrainingDisplay:
    """Shows updates, loss, held-out likelihood and remaining time."""

    def __init__(self, console: Console, description: str) -> None:
        self._console = console
        self._progress = Progress(
            TextColumn("{task.description}"),
            BarColumn(),
            MofNCompleteColumn(),
            TimeElapsedColumn(),
            TextColumn("left"),
            TimeRemainingColumn(),
            TextColumn("{task.fields[text]}"),
            console=console,
            disable=not console.is_terminal,
            refresh_per_second=4,
        )
        self._task = self._progress.add_task(description, total=None, text="")
        self._description = description
        self._last_line = time.monotonic()

    def show(self, done: int, total: int, loss: float, held_out: float | None, seconds_left: float) -> None:
        """Show the state after `done` of `total` updates; losses in nats a dimension."""
        text = f"loss {loss:.3f}" + (f", held-out {held_out:.3f}" if held_out is not None else "")
        self._progress.update(self._task, completed=done, total=total, text=text)
        if not self._console.is_terminal and (
            time.monotonic() - self._last_line > LINE_INTERVAL or done == total
        ):
            self._last_line = time.monotonic()
            self._console.print(f"{self._description} {done}/{total}, {seconds_left:.0f} s left, {text}")

    def say(self, text: str) -> None:
        """Print a line above the bar."""
        self._console.print(text, soft_wrap=True, markup=False, highlight=False)

    def __enter__(self) -> Self:
        self._progress.start()
        return self

    def __exit__(self, *error: object) -> None:
        self._progress.stop()
