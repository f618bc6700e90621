"""One line an episode on the terminal, with a bar below where it is one."""

import sys
from typing import TextIO

from rich.console import Console
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    TextColumn,
    TimeElapsedColumn,
    TimeRemainingColumn,
)

from soft_flow_episode.episode_plan import DISCARD, EpisodeLine


def describe(line: EpisodeLine, number: int, episodes: int) -> str:
    """The line of an episode: index, seed, outcome, flags, steps, missed deadlines, wall time."""
    reached = ", ".join(name for name, value in line.flags.items() if value) or "-"
    text = (
        f"episode {number}/{episodes}  seed {line.seed}  {line.outcome:<7}  [{reached}]  "
        f"{line.steps} steps  {line.missed} missed  {line.wall_seconds:.1f} s"
    )
    return f"{text}  INVALID, not kept: {line.reason}" if line.outcome == DISCARD else text


class EpisodeProgress:
    """Shows what happens; `out` is a terminal or a file (None: standard output)."""

    def __init__(self, episodes: int, done: int, out: TextIO | None = None) -> None:
        """Start at `done` of `episodes`."""
        self._episodes = episodes
        self._console = Console(file=out or sys.stdout, highlight=False, soft_wrap=True)
        self._successes = self._counted = 0
        self._bar: Progress | None = None
        if self._console.is_terminal:
            self._bar = Progress(
                TextColumn("episodes"),
                BarColumn(),
                MofNCompleteColumn(),
                TimeElapsedColumn(),
                TimeRemainingColumn(),
                TextColumn("{task.description}"),
                console=self._console,
            )
            self._task = self._bar.add_task("", total=episodes, completed=done)
            self._bar.start()

    def note(self, text: str) -> None:
        """What is going on now: on a terminal behind the bar, else as a line."""
        if self._bar is not None:
            self._bar.update(self._task, description=text)
        else:
            self.say(text)

    def say(self, text: str) -> None:
        """A line that stays."""
        self._console.print(text, markup=False)

    def finished(self, line: EpisodeLine, done: int) -> None:
        """An episode ended; `done` valid ones are there now."""
        number = done if line.outcome != DISCARD else done + 1
        self.say(describe(line, number, self._episodes))
        if line.outcome != DISCARD:
            self._counted += 1
            self._successes += line.outcome == "success"
        if self._bar is not None:
            text = f"{self._successes} of {self._counted} succeeded"
            self._bar.update(self._task, completed=done, description=text)

    def close(self) -> None:
        """Leave the terminal as it was."""
        if self._bar is not None:
            self._bar.stop()
