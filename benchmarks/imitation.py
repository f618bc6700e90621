"""Imitation from 120 demonstrations: the policy beside its operator and beside a blind one.

Every stage continues where it was interrupted; all of it lies in --output.
"""

import argparse
import os
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from figures import RESULTS, write_results
from graph_runs import StageError, exit_status, run_stage
from imitation_figures import BLIND, FIXED, OPERATOR, POLICY, UNASSISTED, imitation_figures
from rich.console import Console

from soft_flow_bringup.episode_stage import EpisodeStage
from soft_flow_bringup.graph_commands import (
    collect_command,
    own_domain,
    rollout_command,
    task_file,
    train_command,
)
from soft_flow_bringup.report.episode_log import EpisodeRecord, read_episode_log, stage_rate
from soft_flow_bringup.report.plots import plot_rates
from soft_flow_bringup.report.recorded_episode import load_episode
from soft_flow_bringup.report.smoothness import measure_smoothness
from soft_flow_bringup.report.training_log import TrainingLog, read_training_log
from soft_flow_bringup.watched_process import run_watched
from soft_flow_contract.task_specification import TaskSpecification

DEMONSTRATION_SEED, UNASSISTED_SEED, ROLLOUT_SEED, FIXED_SEED = 0, 400_000, 600_000, 800_000


@dataclass(frozen=True)
class Benchmark:
    """The stages and what they share."""

    options: argparse.Namespace
    specification: TaskSpecification
    console: Console

    @property
    def root(self) -> Path:
        """Folder of all stages."""
        return self.options.output

    def stage(
        self, name: str, episodes: int, first_seed: int, command: Callable[[Path, int, int], list[str]]
    ) -> EpisodeStage:
        """A stage of the benchmark."""
        return EpisodeStage(self.root / name, episodes, first_seed, command, self.root / "logs")

    def demonstrations(self) -> tuple[Path, list[EpisodeRecord]]:
        """Folder and records of the demonstrations: those given, or collected."""
        given: Path | None = self.options.demonstrations
        if given is None:
            stage = self.stage("demonstrations", self.options.episodes, DEMONSTRATION_SEED, collect_command)
            return stage.folder, run_stage(stage, self.options.graphs, self.console)
        logs = sorted({path.parent for path in given.rglob("episodes.jsonl")})
        records = [record for log in logs for record in read_episode_log(log) if record.counted]
        if not records:
            raise StageError(f"{given}: no episodes there; collect some, or leave out --demonstrations")
        return given, records

    def unassisted(self) -> list[EpisodeRecord]:
        """The operator without the grasp assist."""
        stage = self.stage(
            "operator_without_assist",
            self.options.unassisted,
            UNASSISTED_SEED,
            lambda output, episodes, seed: collect_command(output, episodes, seed, grasp_assist=False),
        )
        return run_stage(stage, self.options.graphs, self.console)

    def train(self, name: str, bags: Path, *options: str) -> TrainingLog:
        """Train, or take the training that is there.

        Raises:
            StageError: the training failed.
        """
        output = self.root / name
        if not (output / "policy").exists():
            extra = ["--config", str(self.options.config)] if self.options.config else []
            if self.options.success_flag:
                extra += ["--success-flag", self.options.success_flag]
            command = train_command(bags, output, task_file(self.options.task), *options, *extra)
            self.console.print(f"{name}: training", highlight=False)
            with own_domain() as environ:
                ended = run_watched(command, self.root / f"{name}.log", environ)
            if ended.status:
                raise StageError(f"{name}: ended with status {ended.status}\n{ended.tail()}")
        log = read_training_log(output)
        if log is None:
            raise StageError(f"{output}: has a policy, but no metrics.jsonl")
        return log

    def roll_out(
        self, name: str, policy: str, episodes: int, first_seed: int, domain: str
    ) -> list[EpisodeRecord]:
        """Episodes of a trained policy."""
        checkpoint, temperature = self.root / policy / "policy", self.options.temperature

        def command(output: Path, count: int, seed: int) -> list[str]:
            options = {"domain": domain, "temperature": temperature}
            return rollout_command(checkpoint, output, count, seed, **options)

        stage = self.stage(name, episodes, first_seed, command)
        return run_stage(stage, self.options.graphs, self.console)


def smoothness_ratio(benchmark: Benchmark, records: dict[str, list[EpisodeRecord]]) -> float:
    """Second difference of the policy's commands by that of the demonstrations."""

    def actions(who: str) -> list:
        bags = [record.bag for record in records[who] if record.bag is not None]
        return [load_episode(bag, benchmark.specification).actions for bag in bags]

    return measure_smoothness(actions(POLICY)).relative_to(measure_smoothness(actions(OPERATOR))).whole


def run(benchmark: Benchmark) -> None:
    """All stages, then the results.

    Raises:
        StageError: a stage failed; what was done so far is kept.
    """
    options, began = benchmark.options, time.monotonic()
    bags, demonstrations = benchmark.demonstrations()
    seeing = benchmark.train("policy", bags, "--minutes", f"{options.minutes:g}")
    blind = benchmark.train("blind", bags, "--no-images", "--updates", str(seeing.total_updates))
    records = {
        OPERATOR: demonstrations,
        POLICY: benchmark.roll_out("rollouts", "policy", options.rollouts, ROLLOUT_SEED, "nominal"),
        BLIND: benchmark.roll_out("rollouts_blind", "blind", options.rollouts, ROLLOUT_SEED, "nominal"),
        FIXED: benchmark.roll_out("rollouts_fixed", "policy", options.fixed, FIXED_SEED, "fixed_start"),
        UNASSISTED: benchmark.unassisted(),
    }
    stages = benchmark.specification.episode.flags
    updates = {POLICY: (seeing.total_updates, seeing.seconds / 60)}
    updates[BLIND] = (blind.total_updates, blind.seconds / 60)
    figures = imitation_figures(records, stages, updates, smoothness_ratio(benchmark, records))
    minutes = (time.monotonic() - began) / 60
    notes = (
        f"{len(demonstrations)} demonstrations, {seeing.training_episodes} of them trained on and "
        f"{seeing.held_out_episodes} held out for the likelihood; rollouts at temperature "
        f"{options.temperature:g}; this call took {minutes:.0f} min on {os.cpu_count()} cores (stages done "
        f"before not counted), {options.graphs} graphs at a time. Held-out starts are seeds that no "
        "demonstration had; both policies had the same ones. From the fixed start only noise differs.\n\n"
        "![Success rates](imitation.svg)"
    )
    rates = {stage: {who: stage_rate(known, stage) for who, known in records.items()} for stage in stages}
    RESULTS.mkdir(parents=True, exist_ok=True)
    (RESULTS / "imitation.svg").write_text(plot_rates(rates), encoding="utf-8")
    write_results("imitation", figures, notes)


def parse_arguments(arguments: Sequence[str] | None) -> argparse.Namespace:
    """The command line."""
    parser = argparse.ArgumentParser(prog="soft-flow bench imitation", description=__doc__)
    add = parser.add_argument
    add("--output", type=Path, default=Path("runs/bench-imitation"), help="folder (default %(default)s)")
    add("--demonstrations", type=Path, help="use these recorded episodes instead of collecting")
    add("--episodes", type=int, default=120, help="demonstrations to collect (default %(default)s)")
    add("--minutes", type=float, default=30.0, help="training of the policy (default %(default)g)")
    add("--rollouts", type=int, default=100, help="from held-out starts, of each policy (%(default)s)")
    add("--fixed", type=int, default=50, help="rollouts from the fixed start (default %(default)s)")
    add("--unassisted", type=int, default=40, help="operator's episodes without assist (%(default)s)")
    add("--graphs", type=int, default=1, help="graphs that run side by side (default %(default)s)")
    add("--temperature", type=float, default=0.3, help="of the policy's samples (default %(default)g)")
    add("--success-flag", help="stage that a demonstration must reach to be learned from")
    add("--config", type=Path, help="learner configuration (YAML)")
    add("--task", default="scissors", help="task in config/tasks (default %(default)s)")
    return parser.parse_args(arguments)


def main(arguments: Sequence[str] | None = None) -> int:
    """Command line; 0 done, 1 a stage failed, 130 interrupted."""
    options = parse_arguments(arguments)
    options.output = options.output.absolute()
    benchmark = Benchmark(options, TaskSpecification.load(task_file(options.task)), Console())
    return exit_status(lambda: run(benchmark), "interrupted; call it again to continue")


if __name__ == "__main__":
    sys.exit(main())
