"""Episodes for benchmarks: recorded through the ROS graph into folders that say how far they are."""

import time
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path

from rich.console import Console

from soft_flow_bringup.graph_commands import own_domain
from soft_flow_bringup.report.episode_log import EpisodeRecord, read_episode_log
from soft_flow_bringup.watched_process import WatchedProcess

LINE_INTERVAL = 20.0  # s between lines of progress
SEED_STRIDE = 1_000_000  # between the graphs of one stage, so that their seeds never meet


class StageError(RuntimeError):
    """A stage ended without its episodes; the message says where its log is."""


@dataclass(frozen=True)
class EpisodeStage:
    """Episodes of one kind.

    Attributes:
        folder: bags lie in its subfolders, one for each graph.
        episodes: how many in all.
        first_seed: of the first graph.
        command: (output folder, episodes, first seed) -> the command that records until so many are there.
    """

    folder: Path
    episodes: int
    first_seed: int
    command: Callable[[Path, int, int], list[str]]

    def parts(self, graphs: int) -> list[tuple[Path, int, int]]:
        """Folder, episodes and first seed of each of `graphs` graphs."""
        shares = [self.episodes // graphs + (index < self.episodes % graphs) for index in range(graphs)]
        return [
            (self.folder / f"part_{index}", share, self.first_seed + index * SEED_STRIDE)
            for index, share in enumerate(shares)
            if share
        ]

    def records(self) -> list[EpisodeRecord]:
        """Episodes that are there and count."""
        logs = [read_episode_log(path) for path in sorted(self.folder.glob("part_*"))]
        return [record for log in logs for record in log if record.counted]


def run_stage(stage: EpisodeStage, graphs: int, console: Console) -> list[EpisodeRecord]:
    """Record what is missing of a stage, `graphs` graphs side by side, each in a domain of its own.

    Raises:
        StageError: the graphs ended before all episodes were there.
    """
    if len(stage.records()) < stage.episodes:
        with ExitStack() as stack:
            processes = []
            for output, episodes, seed in stage.parts(graphs):
                environ = stack.enter_context(own_domain())
                log = stage.folder / f"{output.name}.log"
                process = WatchedProcess(stage.command(output, episodes, seed), log, environ)
                processes.append(stack.enter_context(process))
            _wait(stage, processes, console)
    records = stage.records()
    if len(records) < stage.episodes:
        logs = ", ".join(str(path) for path in sorted(stage.folder.glob("*.log")))
        raise StageError(f"{stage.folder.name}: {len(records)} of {stage.episodes} episodes; see {logs}")
    return records


def _wait(stage: EpisodeStage, processes: Sequence[WatchedProcess], console: Console) -> None:
    said = 0.0
    while any([process.running() for process in processes]):  # a list: every process is waited for
        if time.monotonic() - said > LINE_INTERVAL:
            said = time.monotonic()
            records = stage.records()
            successes = sum(record.outcome == "success" for record in records)
            console.print(
                f"{stage.folder.name}: {len(records)} of {stage.episodes} episodes, {successes} successful",
                highlight=False,
            )
