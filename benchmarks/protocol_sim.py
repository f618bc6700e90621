"""The whole of protocol_sim on this machine: at which pace it runs, and whether a watchdog trips for nothing.

World, simulated FCI and servo bus, the real drivers, one rendered camera, and the graph above, in which the
scripted operator demonstrates one episode after the other.
"""

import argparse
import json
import os
import sys
import time
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path

import numpy as np
from fault_injection.cell_graph import one_camera_task, running_cell
from fault_injection.graph_client_node import CallError, GraphClient
from fault_injection.motion_watch import MotionWatch
from figures import Figure, write_results
from machine_time import ProcessorTime
from rich.console import Console

from soft_flow_bringup.workspace import find_workspace

LOOK = 0.25  # s
STANDS = 30.0  # s without a step of the world, after which it is gone
_figure = partial(Figure, command="./soft-flow bench protocol_sim")


@dataclass
class Run:
    """What was seen.

    Attributes:
        trips: drivers that latched a fault, although nothing was wrong, and why.
        shares: of the processors' time: stolen by other machines, in use.
        slips: times that the world gave up catching up.
        ended: why the graph did not last; empty if it did.
    """

    wall_s: float = 0.0
    simulated_s: float = 0.0
    trips: list[tuple[str, str]] = field(default_factory=list)
    shares: tuple[float, float] = (0.0, 0.0)
    slips: int = 0
    ended: str = ""


def watch_run(client: GraphClient, watch: MotionWatch, minutes: float, console: Console) -> Run:
    """Watch a running graph for so long, or to its end; drivers that trip are counted and recovered.

    Raises:
        CallError: no episode begins.
    """
    client.recover_until(lambda: client.running, "the first episode", 300.0)
    run, before = Run(), ProcessorTime.now()
    began, simulated, said = time.monotonic(), watch.time_ns, 0.0
    slips = watch.report().get("slips", 0)
    newest, advanced = simulated, began
    while (wall := time.monotonic() - began) < 60 * minutes:
        time.sleep(LOOK)
        if watch.time_ns > newest:
            newest, advanced = watch.time_ns, time.monotonic()
        elif time.monotonic() - advanced > STANDS:
            run.ended = "the graph has ended; its log says why"
            break
        try:
            _count_trips(run, client, console)
        except CallError as error:
            run.ended = str(error)
            break
        if wall - said > 60:
            said = wall
            pace = (watch.time_ns - simulated) * 1e-9 / wall
            console.print(f"{wall / 60:.0f} min, real-time factor {pace:.3f}", highlight=False)
    run.wall_s = advanced - began
    run.simulated_s = (watch.time_ns - simulated) * 1e-9
    run.slips = watch.report().get("slips", 0) - slips
    run.shares = before.shares_until(ProcessorTime.now())
    return run


def _count_trips(run: Run, client: GraphClient, console: Console) -> None:
    for name, reason in client.faulty():
        run.trips.append((name, reason))
        console.print(f"{name}: {reason}", highlight=False)
        client.recover()


def run_figures(run: Run, factor: float, outcomes: Counter[str]) -> list[Figure]:
    """The figures.

    Args:
        run: what was seen.
        factor: the pace that was asked for.
        outcomes: of the episodes.
    """
    pace, minutes = run.simulated_s / run.wall_s, run.wall_s / 60
    kept = outcomes["success"] + outcomes["failure"]
    return [
        _figure("real-time factor that was kept", round(pace, 3), "", ">= 0.5", pace >= 0.5,
                "asked for", factor),
        _figure("minutes", round(minutes, 1), "min", ">= 10", minutes >= 10),
        _figure("false watchdog trips", len(run.trips), "", "<= 0", not run.trips),
        _figure("times that the world gave up catching up", run.slips, ""),
        _figure("episodes recorded", kept, "", trials=sum(outcomes.values())),
        _figure("of these cut", outcomes["success"], "", trials=kept),
        _figure("episodes lost to a late sample", outcomes["discard"], "", trials=sum(outcomes.values())),
        _figure("processor time in use", round(100 * run.shares[1], 1), "%"),
        _figure("processor time stolen by other machines", round(100 * run.shares[0], 2), "%"),
    ]  # fmt: skip


def main(arguments: Sequence[str] | None = None) -> int:
    """Command line; returns the exit status."""
    parser = argparse.ArgumentParser(prog="soft-flow bench protocol_sim", description=__doc__)
    add = parser.add_argument
    add("--minutes", type=float, default=10.0, help="to watch (default %(default)g)")
    add("--realtime-factor", type=float, default=0.52, help="asked for (default %(default)g)")
    add("--output", type=Path, default=Path("runs/bench-protocol-sim"), help="folder (default %(default)s)")
    options = parser.parse_args(arguments)
    folder = options.output.absolute() / time.strftime("%Y-%m-%d-%H%M%S")
    folder.mkdir(parents=True)
    launch = find_workspace().root / "launch" / "teleop.launch.xml"
    given = {"robot": "protocol_sim", "task_file": one_camera_task(folder), "episodes": 10_000}
    given |= {"realtime_factor": options.realtime_factor, "max_invalid": 10_000}
    console = Console()
    try:
        with running_cell(folder, launch, np.random.default_rng(0), **given) as (place, watch):
            run = watch_run(place.client, watch, options.minutes, console)
    except CallError as error:
        print(f"error: {error}; see {folder / 'graph.log'}", file=sys.stderr)
        return 1
    lines = (folder / "episodes" / "episodes.jsonl").read_text(encoding="utf-8").splitlines()
    outcomes = Counter(str(json.loads(line)["outcome"]) for line in lines)
    tripped = "".join(f"- {name}: {reason}\n" for name, reason in run.trips)
    notes = (
        f"World, simulated FCI and servo bus, both drivers, one camera, observation, arbiter, operator and "
        f"recorder on {os.cpu_count()} cores."
        + (f" It did not last: {run.ended}." if run.ended else "")
        + (f"\n\nTrips:\n{tripped}" if tripped else "")
    )
    write_results("protocol_sim", run_figures(run, options.realtime_factor, outcomes), notes)
    return 0


if __name__ == "__main__":
    sys.exit(main())
