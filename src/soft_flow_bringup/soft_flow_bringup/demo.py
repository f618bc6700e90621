"""The whole path in one go: demonstrations through the ROS graph, four stages of learning, a report.

The policy learns by imitation, and then with a critic: offline from the same bags, online while it acts.
After each of these it is rolled out from the same starts.

An interrupted demo continues when `--output` names its folder again.
"""

import argparse
import os
import sys
import time
from collections.abc import Sequence
from pathlib import Path

from rich.console import Console
from rich.table import Table

from soft_flow_bringup.demo_budget import DemoBudget
from soft_flow_bringup.demo_phases import DemoPhases
from soft_flow_bringup.demo_settings import DemoSettings
from soft_flow_bringup.graph_commands import task_file
from soft_flow_bringup.report.episode_log import RunDataError, read_episodes, stage_rate
from soft_flow_bringup.report.page import write_report
from soft_flow_bringup.report.run_folder import STAGES, RunFolder, RunState
from soft_flow_bringup.report.stage_log import NAMES
from soft_flow_bringup.report.stage_sections import percent
from soft_flow_bringup.report.versions import versions
from soft_flow_contract.errors import ContractError
from soft_flow_contract.task_specification import TaskSpecification


def default_graphs() -> int:
    """A graph in lockstep keeps little more than one core busy."""
    return max(1, min(2, os.cpu_count() or 1))


def parse_arguments(arguments: Sequence[str] | None) -> argparse.Namespace:
    """The command line."""
    parser = argparse.ArgumentParser(prog="soft-flow demo", description=__doc__)
    add = parser.add_argument
    add("--minutes", type=float, default=20.0, help="time for everything (default %(default)g)")
    add("--episodes", type=int, default=40, help="demonstrations to collect (default %(default)s)")
    add(
        "--rollouts",
        type=int,
        default=20,
        help="episodes after each stage (default %(default)s)",
    )
    add("--realtime", type=float, default=24.0, help="s at the pace of the wall clock; 0: none (%(default)g)")
    add("--success-flag", default="success", help="stage that a demonstration must reach to be learned from")
    add("--graphs", type=int, default=default_graphs(), help="ROS graphs side by side (default %(default)s)")
    add("--task", default="scissors", help="task in config/tasks (default %(default)s)")
    add("--output", type=Path, help="folder of the run; one that exists is continued (default runs/TIME)")
    parsed = parser.parse_args(arguments)
    for name in ("minutes", "episodes", "rollouts", "graphs"):
        if getattr(parsed, name) <= 0:
            parser.error(f"--{name}: expected a positive number, got {getattr(parsed, name)}")
    return parsed


def begin(folder: RunFolder, settings: DemoSettings) -> RunState:
    """The state to continue from: that of the folder, or a new one."""
    state = folder.read_state()
    if state is None:
        folder.root.mkdir(parents=True, exist_ok=True)
        started = time.strftime("%Y-%m-%dT%H:%M:%S")
        state = RunState(started, settings.as_mapping(), versions())
        folder.write_state(state)
    return state


def summary(folder: RunFolder, specification: TaskSpecification) -> Table:
    """Rates of the operator and of the policy after each stage, for the terminal."""
    table = Table(box=None, header_style="dim", pad_edge=False)
    for column in ("", *specification.episode.flags):
        table.add_column(column, justify="left" if not column else "right")
    actors = [("operator", folder.demonstrations)]
    actors += [(f"after {NAMES[stage]}", folder.rollouts(stage)) for stage in STAGES]
    for who, place in actors:
        records = read_episodes(place, specification.episode.success_flag)
        rates = [stage_rate(records, stage) for stage in specification.episode.flags]
        cells = [f"{percent(rate.value)}  ({rate.successes} of {rate.trials})" for rate in rates]
        table.add_row(who, *cells)
    return table


def run_demo(settings: DemoSettings, root: Path, console: Console) -> int:
    """Run or continue the demo in `root`; 0 when every phase reached its aim or the limit of its time.

    Raises:
        RunDataError, ContractError: the folder or the task cannot be used.
    """
    folder = RunFolder(root)
    state = begin(folder, settings)
    settings = DemoSettings(**state.settings)  # a demo that goes on keeps what it was begun with
    specification = TaskSpecification.load(task_file(settings.task))
    budget = DemoBudget(
        60 * settings.minutes,
        settings.rollouts,
        settings.realtime,
        specification.episode.max_steps,
        specification.dt,
        settings.graphs,
    )
    console.print(f"run in {root}, {settings.minutes:g} minutes", highlight=False)
    phases = DemoPhases(folder, settings, specification, budget, state, console)
    try:
        phases.run_all()
    finally:
        with console.status("writing the report"):
            report = write_report(root, specification)
        console.print(summary(folder, specification))
        console.print(f"report: {report}", soft_wrap=True, highlight=False)
    return 1 if any(phase.status == "failed" for phase in phases.state.phases.values()) else 0


def main(arguments: Sequence[str] | None = None) -> int:
    """Command line; returns the exit status: 0 done, 1 a phase failed, 2 cannot begin, 130 interrupted."""
    parsed = parse_arguments(arguments)
    console = Console()
    root = (parsed.output or Path("runs") / time.strftime("%Y-%m-%d-%H%M%S")).absolute()
    options = {name: value for name, value in vars(parsed).items() if name != "output"}
    try:
        return run_demo(DemoSettings(**options), root, console)
    except (RunDataError, ContractError) as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        print(f"interrupted; continue with: ./soft-flow demo --output {root}", file=sys.stderr)
        return 130


if __name__ == "__main__":
    sys.exit(main())
