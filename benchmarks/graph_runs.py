"""Episode stages as benchmarks run them: with lines of progress, to the end or not at all."""

import sys
import time
from collections.abc import Callable

from rich.console import Console

from soft_flow_bringup.episode_stage import EpisodeStage
from soft_flow_bringup.report.episode_log import EpisodeRecord

LINE_INTERVAL = 20.0  # s between lines of progress


class StageError(RuntimeError):
    """A stage ended without its episodes; the message says where its log is."""


def exit_status(run: Callable[[], None], interrupted: str = "interrupted") -> int:
    """Run a benchmark of graphs to its end; 0 done, 1 a graph did not run, 130 interrupted, which is told."""
    try:
        run()
    except StageError as error:
        print(f"error: {error}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print(interrupted, file=sys.stderr)
        return 130
    return 0


def run_stage(stage: EpisodeStage, graphs: int, console: Console) -> list[EpisodeRecord]:
    """Record what is missing of a stage, `graphs` graphs side by side.

    Raises:
        StageError: the graphs ended before all episodes were there.
    """
    said, name = 0.0, stage.folder.name

    def watch(records: list[EpisodeRecord]) -> None:
        nonlocal said
        if time.monotonic() - said > LINE_INTERVAL:
            said = time.monotonic()
            successes = sum(record.outcome == "success" for record in records)
            text = f"{name}: {len(records)} of {stage.episodes} episodes, {successes} successful"
            console.print(text, highlight=False)

    began = time.monotonic()
    ended = stage.run(graphs, watch)
    records = stage.records()
    if len(records) < stage.episodes:
        logs = ", ".join(str(graph.log) for graph in ended)
        raise StageError(f"{name}: {len(records)} of {stage.episodes} episodes; see {logs}")
    if ended:
        seconds = time.monotonic() - began
        console.print(
            f"{name}: {len(records)} episodes, {seconds:.0f} s for the missing ones", highlight=False
        )
    return records
