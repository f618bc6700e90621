"""The control loop of the running graph in real time, beside a bare loop on the same machine."""

import argparse
import json
import os
import sys
import time
from collections.abc import Sequence
from contextlib import ExitStack
from functools import partial
from pathlib import Path

import numpy as np
from figures import RESULTS, Figure, write_results
from graph_runs import StageError, exit_status, run_stage
from machine_time import ProcessorTime
from rich.console import Console

from soft_flow_bringup.episode_stage import EpisodeStage
from soft_flow_bringup.graph_commands import (
    collect_command,
    own_domain,
    rollout_command,
    task_file,
    train_command,
    watch_command,
)
from soft_flow_bringup.report.loop_log import LoopLog, read_loop_log
from soft_flow_bringup.report.plots import plot_loop_histograms
from soft_flow_bringup.watched_process import WatchedProcess, run_watched
from soft_flow_contract.task_specification import TaskSpecification

ALLOWED_MISSES = 0.001  # 12 of 12,000
LOOK = 10.0  # s between looks at the log
PATIENCE = 120.0  # s without a new tick after which the graph is taken for dead


def prepare_policy(folder: Path, task: str, console: Console, *training: str) -> Path:
    """A policy for the loop: hardly trained, which does not matter for its timing.

    Args:
        folder: where it is made, from demonstrations that are recorded there; what is there stays.
        task: name of the task.
        console: for lines of progress.
        training: further options of the training.

    Raises:
        StageError: it could not be made.
    """
    policy = folder / "policy" / "policy"
    if not policy.exists():
        stage = EpisodeStage(folder / "demonstrations", 2, 0, collect_command, folder)
        run_stage(stage, 1, console)
        options = ("--updates", "20", "--all-episodes", *training)
        command = train_command(stage.folder, folder / "policy", task_file(task), *options)
        console.print("training a policy for the loop", highlight=False)
        with own_domain() as environ:
            ended = run_watched(command, folder / "training.log", environ)
        if ended.status:
            raise StageError(f"training ended with status {ended.status}\n{ended.tail()}")
    return policy


def run_loop(
    folder: Path, launch: Sequence[str], task: str, ticks: int, console: Console
) -> tuple[float, float]:
    """Run a graph until so many ticks were watched, the bare loop beside it.

    Args:
        folder: gets `loop.jsonl`, `bare.json` and the logs.
        launch: the command that starts the graph, in real time and with enough episodes.
        task: name of the task.
        ticks: with the policy in charge.
        console: for lines of progress.

    Returns:
        Stolen and busy shares of the processors' time meanwhile.

    Raises:
        StageError: the graph ended or stood still before.
    """
    rate = TaskSpecification.load(task_file(task)).rate_hz
    bare = [sys.executable, str(Path(__file__).with_name("_bare_loop.py"))]
    with own_domain() as environ, ExitStack() as stack:
        graph = stack.enter_context(WatchedProcess(launch, folder / "graph.log", environ))
        watch = watch_command(folder / "loop.jsonl", task_file(task))
        stack.enter_context(WatchedProcess(watch, folder / "watch.log", environ))
        _wait_for_ticks(folder / "loop.jsonl", 1, graph, console)
        before = ProcessorTime.now()
        bare_command = [*bare, "--output", str(folder / "bare.json"), "--rate", str(rate)]
        stack.enter_context(WatchedProcess(bare_command, folder / "bare.log", environ))
        _wait_for_ticks(folder / "loop.jsonl", ticks, graph, console)
        return before.shares_until(ProcessorTime.now())


def _wait_for_ticks(path: Path, ticks: int, graph: WatchedProcess, console: Console) -> None:
    """Wait until so many ticks with the policy in charge were noted."""
    seen, changed = 0, time.monotonic()
    while seen < ticks:
        if not graph.running(wait=LOOK) or time.monotonic() - changed > PATIENCE:
            raise StageError(f"the graph stopped after {seen} of {ticks} ticks; see {path.parent}/graph.log")
        log = read_loop_log(path)
        if log is not None and log.ticks > seen:
            seen, changed = log.ticks, time.monotonic()
            console.print(f"control loop: {seen} of {ticks} ticks", highlight=False)


_figure = partial(Figure, command="./soft-flow bench control_loop")


def _milliseconds(values: np.ndarray, quantile: float) -> float:
    return round(float(np.quantile(values, quantile)) * 1e3, 2)


def loop_figures(
    log: LoopLog, bare: np.ndarray, shares: tuple[float, float], phase: float, dt: float
) -> list[Figure]:
    """The benchmark's figures.

    Args:
        log: of the graph.
        bare: (M,) s by which the bare loop woke late.
        shares: stolen and busy share of the processors' time.
        phase: s after the tick at which a command is due.
        dt: s a tick.
    """
    to_command = log.command - log.observation
    tick, release = f"< {dt * 1e3:g} (the tick)", f"< {phase * 1e3:g} (the release)"
    latencies = {
        f"observation to command, due {phase * 1e3:g} ms after the tick": (to_command, tick),
        "tick to observation (three cameras, joint states, encoding)": (log.observation, ""),
        "tick to chunk (ticks at which the policy plans)": (log.chunk, release),
        "tick to command": (log.command, tick),
    }
    figures = []
    for name, (values, goal) in latencies.items():
        values = values[np.isfinite(values)]
        for label, quantile in (("p50", 0.5), ("p99", 0.99)):
            value = _milliseconds(values, quantile)
            holds = value < float(goal.split()[1]) if goal else None
            figures.append(_figure(f"{name}, {label}", value, "ms", goal, holds, trials=len(values)))
    missed, late = int(log.missed.sum()), int((bare > phase).sum())
    allowed = round(ALLOWED_MISSES * log.ticks)
    rival = f"bare {1 / dt:g} Hz loop, wake-ups over {phase * 1e3:g} ms late"
    goal = f"<= {allowed} of {log.ticks}"
    return [
        *figures,
        _figure("missed deadlines", missed, "ticks", goal, missed <= allowed, rival, late, log.ticks),
        _figure("lateness of the bare loop, p99", _milliseconds(bare, 0.99), "ms", trials=len(bare)),
        _figure("lateness of the bare loop, longest", _milliseconds(bare, 1.0), "ms", trials=len(bare)),
        _figure("processor time stolen by other machines", round(100 * shares[0], 2), "%"),
        _figure("processor time in use", round(100 * shares[1], 1), "%"),
    ]


def first_ticks(log: LoopLog, ticks: int) -> LoopLog:
    """The first `ticks` ticks of a log (its chunks stay)."""
    return LoopLog(log.observation[:ticks], log.chunk, log.command[:ticks], log.missed[:ticks])


def run(options: argparse.Namespace, console: Console) -> None:
    """Run the loop, write the results.

    Raises:
        StageError: the graph did not run.
    """
    specification = TaskSpecification.load(task_file(options.task))
    ticks = round(60 * options.minutes * specification.rate_hz)
    policy = options.checkpoint or prepare_policy(options.output, options.task, console)
    folder = options.output / time.strftime("%Y-%m-%d-%H%M%S")
    launch = rollout_command(policy, folder / "episodes", ticks, 0, lockstep=False, realtime_factor=1.0)
    shares = run_loop(folder, launch, options.task, ticks, console)
    log = read_loop_log(folder / "loop.jsonl")
    if log is None or not log.ticks:
        raise StageError(f"no tick was watched; see {folder}/watch.log")
    log = first_ticks(log, ticks)
    bare = np.array(json.loads((folder / "bare.json").read_text(encoding="utf-8")))
    phase, dt = specification.timing.command_phase, specification.dt
    RESULTS.mkdir(parents=True, exist_ok=True)
    picture = plot_loop_histograms(log.command - log.observation, log.chunk, bare, phase, dt)
    (RESULTS / "control_loop.svg").write_text(picture, encoding="utf-8")
    notes = (
        f"The whole graph of rollout.launch.xml at real-time factor 1 on {os.cpu_count()} cores, simulator "
        "and rendering included, which a real robot's computer would not have to carry.\n\n"
        "![Histograms](control_loop.svg)"
    )
    write_results("control_loop", loop_figures(log, bare, shares, phase, dt), notes)


def main(arguments: Sequence[str] | None = None) -> int:
    """Command line; returns the exit status, see `exit_status`."""
    parser = argparse.ArgumentParser(prog="soft-flow bench control_loop", description=__doc__)
    add = parser.add_argument
    add("--minutes", type=float, default=10.0, help="with the policy in charge (default %(default)g)")
    add("--checkpoint", type=Path, help="policy to run (default: one that is made for the purpose)")
    add("--output", type=Path, default=Path("runs/bench-control-loop"), help="folder (default %(default)s)")
    add("--task", default="scissors", help="task in config/tasks (default %(default)s)")
    options = parser.parse_args(arguments)
    options.output = options.output.absolute()
    return exit_status(lambda: run(options, Console()))


if __name__ == "__main__":
    sys.exit(main())
