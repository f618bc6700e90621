"""The phases of the demo: what each one starts, how it is watched, and when it is left."""

import time
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from rich.console import Console

from soft_flow_bringup.demo_budget import DemoBudget, seconds_a_tick
from soft_flow_bringup.demo_display import PhaseDisplay
from soft_flow_bringup.episode_stage import EpisodeStage
from soft_flow_bringup.graph_commands import (
    collect_command,
    own_domain,
    rollout_command,
    task_file,
    train_command,
    watch_command,
)
from soft_flow_bringup.report.episode_log import EpisodeRecord, read_episodes
from soft_flow_bringup.report.loop_log import LOG_NAME
from soft_flow_bringup.report.run_folder import PHASES, Phase, RunFolder, RunState
from soft_flow_bringup.report.training_log import read_training_log
from soft_flow_bringup.watched_process import Ended, run_watched
from soft_flow_contract.task_specification import TaskSpecification

DEMONSTRATION_SEED, ROLLOUT_SEED, REALTIME_SEED = 0, 100_000, 200_000  # never the same world twice


@dataclass(frozen=True)
class DemoSettings:
    """What a demo was asked for.

    Attributes:
        minutes: for everything.
        episodes: demonstrations to collect.
        rollouts: episodes of the policy.
        realtime: s at the pace of the wall clock.
        success_flag: stage that a demonstration must reach to be learned from.
        graphs: how many of them collect and roll out side by side.
        task: name of its file in config/tasks.
    """

    minutes: float = 15.0
    episodes: int = 40
    rollouts: int = 20
    realtime: float = 24.0
    success_flag: str = "success"
    graphs: int = 1
    task: str = "scissors"

    def as_mapping(self) -> dict[str, Any]:
        """For the run's state and report."""
        return asdict(self)


def counted(records: list[EpisodeRecord]) -> list[EpisodeRecord]:
    """Episodes that are trials."""
    return [record for record in records if record.counted]


class DemoPhases:
    """Runs the phases that are not done yet and keeps the run's state."""

    def __init__(
        self,
        folder: RunFolder,
        settings: DemoSettings,
        specification: TaskSpecification,
        budget: DemoBudget,
        state: RunState,
        console: Console,
    ) -> None:
        """Continue from `state`."""
        self._folder, self._settings, self._specification = folder, settings, specification
        self._budget, self.state, self._console = budget, state, console

    def run_all(self) -> None:
        """Run every phase in order; one that lacks what it needs says so and is left out."""
        works = (self._collect, self._train, self._roll_out, self._run_in_real_time)
        for name, work in zip(PHASES, works, strict=True):
            if self.state.phases[name].status not in ("done", "short"):
                self._run(name, work)

    def _run(self, name: str, work: Callable[[PhaseDisplay], Phase]) -> None:
        """Run one phase; its time is kept even when it is interrupted."""
        before, began = self.state.phases[name].seconds, time.monotonic()
        result = Phase("running")
        self._keep(name, Phase("running", before))
        try:
            with PhaseDisplay(self._console, name) as display:
                result = work(display)
                display.finish(f"{result.status}: {result.note}" if result.note else result.status)
        finally:
            self._keep(name, Phase(result.status, before + time.monotonic() - began, result.note))

    def _keep(self, name: str, phase: Phase) -> None:
        self.state = self.state.with_phase(name, phase)
        self._folder.write_state(self.state)

    def _collect(self, display: PhaseDisplay) -> Phase:
        def command(output: Path, episodes: int, seed: int) -> list[str]:
            return collect_command(output, episodes, seed, task=self._settings.task, lockstep=True)

        stage = self._stage("demonstrations", self._settings.episodes, DEMONSTRATION_SEED, command)
        limit = self._budget.collection_limit(self.state.seconds)
        return self._episodes(stage, display, limit, self._settings.graphs)

    def _rollout(self, lockstep: bool) -> Callable[[Path, int, int], list[str]]:
        def command(output: Path, episodes: int, seed: int) -> list[str]:
            task = self._settings.task
            return rollout_command(self._folder.policy, output, episodes, seed, task=task, lockstep=lockstep)

        return command

    def _roll_out(self, display: PhaseDisplay) -> Phase:
        if not self._folder.policy.exists():
            return Phase("failed", note="There is no policy to roll out: the training was not finished.")
        stage = self._stage("rollouts", self._settings.rollouts, ROLLOUT_SEED, self._rollout(lockstep=True))
        limit = self._budget.rollouts_limit(self.state.seconds)
        return self._episodes(stage, display, limit, self._settings.graphs)

    def _run_in_real_time(self, display: PhaseDisplay) -> Phase:
        if self._settings.realtime <= 0:
            return Phase("done", note="Left out, as asked for (--realtime 0).")
        if not self._folder.policy.exists():
            return Phase("failed", note="There is no policy to run: the training was not finished.")
        longest = self._specification.episode.max_steps * self._specification.dt
        aim = max(1, round(self._settings.realtime / longest))
        watcher = watch_command(self._folder.realtime / LOG_NAME, task_file(self._settings.task))
        stage = self._stage("realtime", aim, REALTIME_SEED, self._rollout(lockstep=False), watcher)
        return self._episodes(stage, display, 2 * self._budget.realtime_needed)

    def _stage(
        self,
        name: str,
        episodes: int,
        first_seed: int,
        command: Callable[[Path, int, int], list[str]],
        *watchers: list[str],
    ) -> EpisodeStage:
        logs = self._folder.root / "logs"
        return EpisodeStage(self._folder.root / name, episodes, first_seed, command, logs, watchers)

    def _episodes(self, stage: EpisodeStage, display: PhaseDisplay, limit: float, graphs: int = 1) -> Phase:
        """Record episodes until there are enough of them, or the time is over."""

        def watch(records: list[EpisodeRecord]) -> None:
            successes = sum(record.outcome == "success" for record in records)
            counts = f"{len(records)} of {stage.episodes} episodes, {successes} successful"
            display.show(len(records), stage.episodes, counts if records else "starting the graph")

        ended = stage.run(graphs, watch, limit)
        done = len(stage.records())
        if done >= stage.episodes:
            return Phase("done")
        if done and all(graph.timed_out for graph in ended):
            return Phase("short", note=f"The time was over after {done} of {stage.episodes} episodes.")
        broken = next((graph for graph in ended if graph.status), ended[0])
        return self._failed(broken, f"{done} of {stage.episodes} episodes")

    def _train(self, display: PhaseDisplay) -> Phase:
        records = counted(read_episodes(self._folder.demonstrations))
        if not records:
            return Phase("failed", note="There are no demonstrations to learn from.")
        pace = seconds_a_tick(records, self._specification.dt)
        seconds = self._budget.training(self.state.seconds, pace, len(records))

        def watch() -> None:
            log = read_training_log(self._folder.training)
            if log is None or not log.updates:
                display.show(0, seconds, f"reading {len(records)} bags")
                return
            held_out = f", held-out log-likelihood {log.held_out[-1]:.2f}" if log.held_out else ""
            display.show(
                log.seconds, seconds, f"{log.total_updates:,} updates, loss {log.loss[-1]:.2f}{held_out}"
            )

        flag = (
            ()
            if self._settings.success_flag == "success"
            else ("--success-flag", self._settings.success_flag)
        )
        command = train_command(
            self._folder.demonstrations,
            self._folder.training,
            task_file(self._settings.task),
            *("--minutes", f"{seconds / 60:.3f}", *flag),
        )
        with own_domain() as environ:
            ended = run_watched(
                command, self._folder.root / "logs" / "training.log", environ, watch, 1.5 * seconds + 120
            )
        return Phase("done") if ended.status == 0 else self._failed(ended, "training")

    def _failed(self, ended: Ended, reached: str) -> Phase:
        self._console.print(ended.tail(), style="dim", markup=False, highlight=False)
        why = "stopped, because it took too long" if ended.timed_out else f"ended with status {ended.status}"
        return Phase("failed", note=f"It {why} ({reached}); see {ended.log.relative_to(self._folder.root)}.")
