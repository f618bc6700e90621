"""How fast lockstep collection and the physics alone are."""

import argparse
import os
import sys
import time
from collections.abc import Sequence
from functools import partial
from pathlib import Path

import mujoco
import numpy as np
from figures import Figure, write_results
from graph_runs import StageError, exit_status
from machine_time import ProcessorTime
from numpy.typing import NDArray
from rich.console import Console

from soft_flow_bringup.episode_stage import EpisodeStage
from soft_flow_bringup.graph_commands import collect_command, task_file
from soft_flow_bringup.report.episode_log import EpisodeRecord
from soft_flow_contract.task_specification import TaskSpecification
from soft_flow_sim.scissors_task import ScissorsTask

SPEED_GOAL = 2.0  # simulated seconds a wall second
PHYSICS_GOAL = 80.0  # % of bare mj_step
SEED = 3

_figure = partial(Figure, command="./soft-flow bench collection")


class CollectionWatch:
    """Times a collection from its first finished episode to its last: only the start-up is left out."""

    def __init__(self) -> None:
        self.seconds, self.steps = 0.0, 0
        self._first: tuple[float, int, ProcessorTime] | None = None
        self._seen = 0
        self.stolen = self.busy = 0.0

    def __call__(self, records: list[EpisodeRecord]) -> None:
        """Look at the episodes so far."""
        if len(records) == self._seen:
            return
        self._seen, now = len(records), time.monotonic()
        steps = sum(record.steps for record in records)
        if self._first is None:
            self._first = now, steps, ProcessorTime.now()
            return
        began, before, processors = self._first
        self.seconds, self.steps = now - began, steps - before
        self.stolen, self.busy = processors.shares_until(ProcessorTime.now())


def collect(folder: Path, episodes: int, console: Console) -> CollectionWatch:
    """Collect scripted episodes through the graph in lockstep.

    Raises:
        StageError: the graph ended before all episodes were there.
    """
    watch = CollectionWatch()
    name = time.strftime("%Y-%m-%d-%H%M%S")
    stage = EpisodeStage(folder / name, episodes + 1, 0, collect_command, folder)
    console.print(f"collecting {stage.episodes} episodes", highlight=False)
    ended = stage.run(watch=watch)
    if not stage.complete:
        raise StageError(f"{len(stage.records())} of {stage.episodes} episodes; see {ended[0].log}")
    return watch


Commands = list[tuple[NDArray[np.float64], NDArray[np.float64], NDArray[np.float64]]]


def smooth_motion(task: ScissorsTask, ticks: int) -> Commands:
    """Flange positions, orientations and hand targets of a motion from the start over the case and back."""
    task.reset(SEED)
    state = task.state()
    commands = []
    for tick in range(ticks):
        phase = 2 * np.pi * tick / 80
        offset = np.array([0.05 * np.sin(phase), 0.05 * np.sin(2 * phase), -0.06 * (1 - np.cos(phase))])
        hand = state.hand_position + 0.4 * (1 - np.cos(phase)) * (np.arange(17) > 4)
        commands.append((state.flange_position + offset, state.flange_quaternion, hand))
    return commands


State = NDArray[np.float64]
_WHOLE_STATE = mujoco.mjtState.mjSTATE_INTEGRATION.value


def run_task(task: ScissorsTask, commands: Commands) -> tuple[float, float, list[State]]:
    """Processor seconds for the task's ticks without and with their commands, and the states between them."""
    task.reset(SEED)
    states, physics, everything = [], 0.0, 0.0
    phase = task.specification.phase_ns * 1e-9
    for command in commands:
        began = time.process_time()
        task.advance(phase)
        commanding = time.process_time()
        task.apply_command(*command)
        commanded = time.process_time()
        task.advance(task.specification.dt - phase)
        task.count_tick()
        ended = time.process_time()
        physics += ended - began - (commanded - commanding)
        everything += ended - began
        states.append(np.empty(mujoco.mj_stateSize(task.model, _WHOLE_STATE)))
        mujoco.mj_getState(task.model, task.data, states[-1], _WHOLE_STATE)
    return physics, everything, states


def run_bare(task: ScissorsTask, states: Sequence[State]) -> float:
    """Processor seconds for as many steps of mj_step alone, each tick from where the task began its own."""
    steps, seconds = round(task.specification.dt / task.model.opt.timestep), 0.0
    for state in states:
        mujoco.mj_setState(task.model, task.data, state, _WHOLE_STATE)
        began = time.process_time()
        mujoco.mj_step(task.model, task.data, steps)
        seconds += time.process_time() - began
    return seconds


def physics_speeds(specification: TaskSpecification, rounds: int, ticks: int) -> list[float]:
    """Simulated seconds a processor second: task without commands, with them, bare mj_step.

    Medians over alternating rounds.
    """
    task = ScissorsTask(specification, render=False)
    commands = smooth_motion(task, ticks)
    seconds = []
    for _ in range(rounds):
        physics, everything, states = run_task(task, commands)
        seconds.append((physics, everything, run_bare(task, states)))
    return (ticks * specification.dt / np.median(seconds, axis=0)).round(2).tolist()


def run(options: argparse.Namespace, console: Console) -> None:
    """Measure both, write the results.

    Raises:
        StageError: the graph did not run.
    """
    specification = TaskSpecification.load(task_file("scissors"))
    physics, everything, bare = physics_speeds(specification, options.rounds, 200)
    watch = collect(options.output, options.episodes, console)
    speed = watch.steps * specification.dt / watch.seconds
    percent = 100 * physics / bare
    figures = [
        _figure(
            "lockstep collection, three cameras, reset and writing included",
            round(speed, 2),
            "simulated s / wall s",
            f">= {SPEED_GOAL:g}",
            speed >= SPEED_GOAL,
            "real time",
            1.0,
            watch.steps,
        ),
        _figure("wall time of a tick", round(1e3 * watch.seconds / watch.steps, 2), "ms", trials=watch.steps),
        _figure("processor time in use meanwhile, all of the machine", round(100 * watch.busy, 1), "%"),
        _figure("processor time stolen by other machines", round(100 * watch.stolen, 2), "%"),
        _figure(
            "physics of the task relative to bare mj_step (contact rules, assist and oracle included)",
            round(percent, 1),
            "%",
            f">= {PHYSICS_GOAL:g}",
            percent >= PHYSICS_GOAL,
            "bare mj_step",
            100.0,
            options.rounds,
        ),
        *(
            _figure(name, value, "simulated s / processor s", "", None, "bare mj_step", bare, options.rounds)
            for name, value in (
                ("physics of the task", physics),
                ("the same with the arm's inverse kinematics", everything),
            )
        ),
    ]
    shielded = os.sched_getscheduler(0) != os.SCHED_OTHER
    notes = f"{os.cpu_count()} cores. " + (
        "Run with real-time priority (`chrt -r 5`), so that other work on the machine does not count."
        if shielded
        else "Other work on the machine took its share; `chrt -r 5` before the command shields from it."
    )
    write_results("collection", figures, notes)


def main(arguments: Sequence[str] | None = None) -> int:
    """Command line; returns the exit status, see `exit_status`."""
    parser = argparse.ArgumentParser(prog="soft-flow bench collection", description=__doc__)
    add = parser.add_argument
    add("--episodes", type=int, default=12, help="timed episodes (default %(default)s)")
    add("--rounds", type=int, default=9, help="rounds of the physics (default %(default)s)")
    add("--output", type=Path, default=Path("runs/bench-collection"), help="folder (default %(default)s)")
    options = parser.parse_args(arguments)
    options.output = options.output.absolute()
    return exit_status(lambda: run(options, Console()))


if __name__ == "__main__":
    sys.exit(main())
