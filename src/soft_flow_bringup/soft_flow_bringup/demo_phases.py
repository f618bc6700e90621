"""The phases of the demo: what each one starts, how it is watched, and when it is left."""

import time
from collections.abc import Callable
from functools import partial
from pathlib import Path

from rich.console import Console

from soft_flow_bringup.demo_budget import DemoBudget, recent_pace
from soft_flow_bringup.demo_display import PhaseDisplay
from soft_flow_bringup.demo_learning import DemoLearning
from soft_flow_bringup.demo_settings import DemoSettings
from soft_flow_bringup.episode_stage import EpisodeStage
from soft_flow_bringup.graph_commands import collect_command, rollout_command, task_file, watch_command
from soft_flow_bringup.report.episode_log import EpisodeRecord
from soft_flow_bringup.report.loop_log import LOG_NAME
from soft_flow_bringup.report.run_folder import PHASES, STAGES, Phase, RunFolder, RunState, rollouts_phase
from soft_flow_bringup.watched_process import Ended
from soft_flow_contract.task_specification import TaskSpecification

DEMONSTRATION_SEED, ROLLOUT_SEED, REALTIME_SEED = 0, 100_000, 200_000  # never the same world twice


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
        learning = DemoLearning(self._folder, self._settings, self._specification, self._budget)
        works: dict[str, Callable[[PhaseDisplay], Phase]] = {
            "demonstrations": self._collect,
            "training": lambda display: self._learn(learning.train, display),
            "online": lambda display: self._learn(learning.go_online, display),
            "realtime": self._run_in_real_time,
        }
        works |= {rollouts_phase(stage): partial(self._roll_out, stage) for stage in STAGES}
        for name in PHASES:
            if self.state.phases[name].status not in ("done", "short"):
                self._run(name, works[name])

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

    def _learn(self, work: Callable[[PhaseDisplay, float], Ended | Phase], display: PhaseDisplay) -> Phase:
        """Run a phase of learning; what it says of itself, or how its process ended."""
        result = work(display, self.state.seconds)
        return result if isinstance(result, Phase) else self._failed(result, "learning")

    def _rollout(self, stage: str, lockstep: bool) -> Callable[[Path, int, int], list[str]]:
        def command(output: Path, episodes: int, seed: int) -> list[str]:
            policy, task = self._folder.policy(stage), self._settings.task
            return rollout_command(policy, output, episodes, seed, task=task, lockstep=lockstep)

        return command

    def _roll_out(self, learning_stage: str, display: PhaseDisplay) -> Phase:
        if not self._folder.policy(learning_stage).exists():
            return Phase("failed", note=f"The stage '{learning_stage}' left no policy to roll out.")
        command = self._rollout(learning_stage, lockstep=True)
        stage = self._stage(rollouts_phase(learning_stage), self._settings.rollouts, ROLLOUT_SEED, command)
        limit = self._budget.rollouts_limit(self.state.seconds, self._pace(), learning_stage)
        return self._episodes(stage, display, limit, self._settings.graphs)

    def _pace(self) -> float:
        return recent_pace(self._folder, self._specification.dt)

    def _run_in_real_time(self, display: PhaseDisplay) -> Phase:
        if self._settings.realtime <= 0:
            return Phase("done", note="Left out, as asked for (--realtime 0).")
        learning_stage = self._folder.last_stage
        if learning_stage is None:
            return Phase("failed", note="There is no policy to run: the training was not finished.")
        longest = self._specification.episode.max_steps * self._specification.dt
        aim = max(1, round(self._settings.realtime / longest))
        watcher = watch_command(self._folder.realtime / LOG_NAME, task_file(self._settings.task))
        command = self._rollout(learning_stage, lockstep=False)
        stage = self._stage("realtime", aim, REALTIME_SEED, command, watcher)
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

    def _failed(self, ended: Ended, reached: str) -> Phase:
        self._console.print(ended.tail(), style="dim", markup=False, highlight=False)
        why = "stopped, because it took too long" if ended.timed_out else f"ended with status {ended.status}"
        return Phase("failed", note=f"It {why} ({reached}); see {ended.log.relative_to(self._folder.root)}.")
