"""Episodes of one kind, recorded through one or several ROS graphs side by side into one folder."""

import time
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path

from soft_flow_bringup.graph_commands import own_domain
from soft_flow_bringup.report.episode_log import EpisodeRecord, read_episodes
from soft_flow_bringup.watched_process import POLL, Ended, WatchedProcess

SEED_STRIDE = 10_000  # between the graphs of one stage, so that their seeds never meet


@dataclass(frozen=True)
class EpisodeStage:
    """Episodes of one kind; what is there already is not recorded again.

    Attributes:
        folder: each graph records into a subfolder `part_<i>`.
        episodes: how many in all.
        first_seed: of the first graph; further ones start `SEED_STRIDE` later.
        command: (output folder, episodes, first seed) -> the command that records until so many are there.
        logs: folder of the graphs' output.
        watchers: commands that run beside a graph, in its domain.
    """

    folder: Path
    episodes: int
    first_seed: int
    command: Callable[[Path, int, int], list[str]]
    logs: Path
    watchers: Sequence[list[str]] = ()

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
        return [record for record in read_episodes(self.folder) if record.counted]

    @property
    def complete(self) -> bool:
        """Whether all episodes are there."""
        return len(self.records()) >= self.episodes

    def run(
        self,
        graphs: int = 1,
        watch: Callable[[list[EpisodeRecord]], None] = lambda records: None,
        limit: float = float("inf"),
    ) -> list[Ended]:
        """Record what is missing, each graph in a domain of its own.

        Args:
            graphs: how many of them side by side.
            watch: called several times a second with the episodes so far.
            limit: s; afterwards the graphs are interrupted as by Ctrl-C.

        Returns:
            How each graph ended; nothing if nothing was missing.
        """
        if self.complete:
            return []
        end, timed_out, running = time.monotonic() + limit, False, []
        with ExitStack() as stack:
            for output, episodes, seed in self.parts(graphs):
                environ = stack.enter_context(own_domain())
                for index, watcher in enumerate(self.watchers):
                    log = self.logs / f"{self.folder.name}_watcher_{index}.log"
                    stack.enter_context(WatchedProcess(watcher, log, environ))
                log = self.logs / f"{self.folder.name}_{output.name}.log"
                process = WatchedProcess(self.command(output, episodes, seed), log, environ)
                running.append((stack.enter_context(process), log))
            # A list, not a generator: every graph is looked at each time.
            while any([process.running(POLL / graphs) for process, _ in running]) and not timed_out:
                watch(self.records())
                timed_out = time.monotonic() > end
        watch(self.records())
        return [Ended(process.status, timed_out, log) for process, log in running]
