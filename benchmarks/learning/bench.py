"""The command line of the learning experiments: runs what is missing, some processes at a time, and compares.

Every (arm, seed) is a process of its own that may be killed and continues when this is called again;
experiments that are done are not repeated, so seeds and arms can be added. With --set, a sweep: its results
stay in --output.
"""

import argparse
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from figures import RESULTS, Figure, table

from learning.arms import ARMS
from learning.comparison import Results, read_results
from learning.comparison_figures import (
    Goal,
    configuration,
    difference_table,
    effort_table,
    goal_figure,
    rate_figures,
)
from learning.comparison_plot import plot_comparison
from learning.experiment_config import BUDGETS, load_config
from learning.learning_task import demonstration_file
from learning.recorded_runs import with_recorded, write_record
from learning.run_experiment import arm_settings
from learning.tasks import budget_file, make_task
from learning.whole_file import write_json, write_whole
from soft_flow_learner.errors import LearnerError
from soft_flow_learner.training.compute import DEVICES

BENCHMARKS = Path(__file__).resolve().parents[1]
POLL = 0.5  # s between looks at the processes


@dataclass(frozen=True)
class Bench:
    """One learning experiment as a benchmark.

    Attributes:
        task: in `learning.tasks`.
        title: one paragraph about the task, for the results.
        flags: stages of success that are reported; the last one is the task's.
        goals: differences that have to be reached.
        arms: that run by default.
        seeds: that run by default.
        program: what follows `./soft-flow bench`, if it is not the name alone.
    """

    task: str
    title: str
    flags: tuple[str, ...]
    goals: tuple[Goal, ...]
    arms: tuple[str, ...]
    seeds: str = "0-4"
    program: str = ""

    @property
    def name(self) -> str:
        """Of the benchmark and its results."""
        return f"learning_{self.task}"

    @property
    def command(self) -> str:
        """Runs it."""
        return f"./soft-flow bench {self.program or self.name}"


def parse_seeds(text: str) -> list[int]:
    """`0-4,7` as numbers.

    Raises:
        ValueError: it is neither a number nor a range, or a seed is not in 0..99999.
    """
    seeds: list[int] = []
    for part in text.split(","):
        first, _, last = part.partition("-")
        seeds += range(int(first), int(last or first) + 1)
    if not seeds or min(seeds) < 0 or max(seeds) > 99_999:
        raise ValueError(f"seeds: expected some of 0 to 99999 such as 0-4,7, got '{text}'")
    return seeds


def parse_arguments(bench: Bench, arguments: Sequence[str] | None) -> argparse.Namespace:
    """The command line."""
    parser = argparse.ArgumentParser(prog=bench.command.removeprefix("./"), description=__doc__)
    add = parser.add_argument
    add("--arms", default=",".join(bench.arms), help=f"of {', '.join(ARMS)} (default: %(default)s)")
    add("--seeds", default=bench.seeds, help="such as 0-4,7 (default %(default)s)")
    add("--budget", choices=BUDGETS, default="default", help="(default: %(default)s)")
    add("--set", action="append", default=[], metavar="KEY=VALUE", dest="overrides",
        help="override a value of the configuration, such as offline.objective.beta=1")  # fmt: skip
    add("--workers", type=int, default=1, help="processes side by side, one thread each (default 1)")
    add("--device", choices=DEVICES, default="cpu", help="where they train and act (default: %(default)s)")
    add("--output", type=Path, help="folder (default: runs/learning/NAME, the budget added)")
    add("--compare-only", action="store_true", help="run nothing; compare what is there")
    add("--recorded", action="store_true",
        help="compare with recorded runs as well, in place of those that are not here")  # fmt: skip
    options = parser.parse_args(arguments)
    options.arms = options.arms.split(",")
    unknown = sorted(set(options.arms) - set(ARMS))
    if unknown:
        parser.error(f"--arms: there is no arm {unknown[0]}; choose from {', '.join(ARMS)}")
    try:
        options.seeds = parse_seeds(options.seeds)
    except ValueError as error:
        parser.error(f"--seeds: {error}")
    if options.recorded and (options.overrides or options.budget == "smoke"):
        parser.error("--recorded: sweeps and the budget smoke have no record")
    if options.overrides and options.output is None:
        parser.error("--set: a sweep needs a folder of its own; name it with --output")
    if options.output is None:
        suffix = "" if options.budget == "default" else f"-{options.budget}"
        options.output = BENCHMARKS.parent / "runs" / "learning" / (bench.task + suffix)
    options.output = options.output.absolute()
    return options


def process_command(bench: Bench, options: argparse.Namespace, seed: int, arm: str | None) -> list[str]:
    """The command of a process; without an arm it records the demonstrations of the seed."""
    command = [sys.executable, "-m", "learning.run_experiment", bench.task]
    command += ["--root", str(options.output), "--seed", str(seed), "--budget", options.budget]
    command += ["--device", options.device]
    if arm is not None:
        command += ["--arm", arm]
    return command + [part for override in options.overrides for part in ("--set", override)]


def run_all(commands: Sequence[tuple[str, list[str]]], workers: int, logs: Path) -> list[str]:
    """Run named commands, `workers` at a time, each with a log of its own; returns the names that failed."""
    logs.mkdir(parents=True, exist_ok=True)
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join([str(BENCHMARKS), *_path()])}
    environment |= {"OMP_NUM_THREADS": "1"}
    waiting, failed = list(commands), []
    running: dict[str, subprocess.Popen[bytes]] = {}
    try:
        while waiting or running:
            while waiting and len(running) < max(workers, 1):
                name, command = waiting.pop(0)
                with (logs / f"{name}.log").open("ab") as log:
                    running[name] = subprocess.Popen(command, env=environment, stdout=log, stderr=log)
                print(f"{name}: begins", flush=True)
            for name in [name for name, process in running.items() if process.poll() is not None]:
                status = running.pop(name).returncode
                print(f"{name}: {'done' if status == 0 else f'failed, see {logs / name}.log'}", flush=True)
                failed += [name] if status else []
            time.sleep(POLL)
    finally:
        for process in running.values():
            process.terminate()
    return failed


def _path() -> list[str]:
    return [part for part in os.environ.get("PYTHONPATH", "").split(os.pathsep) if part]


def run_missing(bench: Bench, options: argparse.Namespace) -> list[str]:
    """Demonstrations first, since arms share them, then the experiments; returns the names that failed."""

    def command(seed: int, arm: str | None) -> tuple[str, list[str]]:
        return f"{arm or 'demonstrations'}-{seed}", process_command(bench, options, seed, arm)

    missing = [s for s in options.seeds if not demonstration_file(options.output, s).exists()]
    logs = options.output / "logs"
    failed = run_all([command(seed, None) for seed in missing], options.workers, logs)
    # Arm by arm: the first one leaves its imitation to those that imitate alike.
    pairs = [(seed, arm) for arm in options.arms for seed in options.seeds]
    undone = [
        command(seed, arm)
        for seed, arm in pairs
        if f"demonstrations-{seed}" not in failed
        and not (options.output / arm / str(seed) / "result.json").exists()
    ]
    return failed + run_all(undone, options.workers, logs)


def add_recorded(bench: Bench, options: argparse.Namespace, results: Results) -> Results:
    """`results` and those recorded runs that today's code would begin with the same settings.

    Raises:
        LearnerError: nothing is recorded, or it is damaged.
    """
    task, config = make_task(bench.task), load_config(budget_file(bench.task), options.budget)
    name = result_name(bench, options.budget)
    record, configuration = RESULTS / f"{name}_runs.jsonl", RESULTS / f"{name}_config.json"

    def expected(arm: str) -> dict[str, Any]:
        return arm_settings(task, ARMS[arm], options.budget, config)

    results, left_out = with_recorded(results, record, configuration, expected)
    print("".join(f"left out: {reason}\n" for reason in left_out), end="")
    return results


def result_name(bench: Bench, budget: str) -> str:
    """How files of results begin."""
    return bench.name if budget == "default" else f"{bench.name}_{budget}"


def write_comparison(bench: Bench, results: Results, root: Path, budget: str, to: Path) -> list[Figure]:
    """Write `to`/NAME.md, .json, .svg, _config.json and _runs.jsonl; returns the figures."""
    goals = [goal_figure(results, goal, bench.command) for goal in bench.goals]
    figures = [figure for figure in goals if figure is not None]
    figures += rate_figures(results, bench.flags, bench.command)
    name = result_name(bench, budget)
    few = min(map(len, results.runs.values())) < 2
    alone = " An arm has one seed only: its intervals know nothing of other seeds." if few else ""
    notes = (
        f"{bench.title}\n\nBudget: {budget}. Intervals are hierarchical bootstraps over seeds, then starts, "
        "paired for differences; a difference counts when its interval excludes 0. The settings of every arm "
        "are in "
        f"[{name}_config.json]({name}_config.json), what came of every start in "
        f"[{name}_runs.jsonl]({name}_runs.jsonl).{alone}\n\n{effort_table(results)}\n\n"
        f"Differences in `{bench.flags[-1]}`:\n\n{difference_table(results, bench.flags[-1])}\n\n"
        f"![Success by stage]({name}.svg)"
    )
    rows = [figure.__dict__ for figure in figures]
    write_json(to / f"{name}.json", rows)
    write_json(to / f"{name}_config.json", configuration(results))
    write_record(to / f"{name}_runs.jsonl", results)
    write_whole(to / f"{name}.svg", plot_comparison(results, root, bench.flags).encode())
    text = f"# {name}\n\n{table(figures)}\n{notes}\n"
    write_whole(to / f"{name}.md", text.encode())
    print(text)
    return figures


def main(bench: Bench, arguments: Sequence[str] | None = None) -> int:
    """Command line; 0 done, 1 something failed, 130 interrupted."""
    options = parse_arguments(bench, arguments)
    for number in (signal.SIGTERM, signal.SIGINT):  # or its processes would go on without it
        signal.signal(number, signal.default_int_handler)
    try:
        failed = [] if options.compare_only else run_missing(bench, options)
        results = read_results(options.output)
        if options.recorded:
            results = add_recorded(bench, options, results)
    except LearnerError as error:
        print(f"error: {error}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print("interrupted; call it again to continue", file=sys.stderr)
        return 130
    if results.runs:
        to = options.output if options.overrides or options.budget == "smoke" else RESULTS
        write_comparison(bench, results, options.output, options.budget, to)
    return 1 if failed or not results.runs else 0


Main = Callable[[Sequence[str] | None], int]
