"""Random faults in the running graph: real drivers on simulated hardware, each stop measured.

Beside it a control without watchdogs, in which the robot moves on: it shows that the test can fail.
"""

import argparse
import json
import sys
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from fault_injection.catalogue import BOTH, FAULTS, Fault, Place
from fault_injection.cell_graph import LAUNCH, make_policy, one_camera_task, running_cell
from fault_injection.fault_figures import write_fault_results
from fault_injection.graph_client_node import CallError
from fault_injection.motion_watch import MotionWatch
from fault_injection.trial import run_trial
from rich.console import Console

from soft_flow_contract.durable_files import append_durably

LOG = "injections.jsonl"
PER_GRAPH = 25  # injections before the graph is started anew


def read_log(folder: Path) -> list[dict]:
    """The injections so far."""
    path = folder / LOG
    return [json.loads(line) for line in path.read_text().splitlines()] if path.exists() else []


def _next_fault(rows: list[dict], mode: str, wanted: int, watchdogs: bool) -> Fault | None:
    """The fault of this mode that was injected least; None when each has its number."""
    counts = {fault.name: 0 for fault in FAULTS if mode in fault.modes}
    for row in rows:
        if row["mode"] == mode and row["watchdogs"] == watchdogs and row["fault"] in counts:
            counts[row["fault"]] += 1
    name = min(counts, key=lambda name: counts[name])
    if counts[name] >= wanted:
        return None
    return next(fault for fault in FAULTS if fault.name == name)


def run_graph(folder: Path, mode: str, wanted: int, watchdogs: bool, factor: float, console: Console) -> bool:
    """Inject up to PER_GRAPH faults in one graph; False when nothing is left to do.

    Raises:
        RuntimeError: the graph does not start.
    """
    rows = read_log(folder)
    if _next_fault(rows, mode, wanted, watchdogs) is None:
        return False
    task = one_camera_task(folder)
    arguments = {"task_file": task, "mode": mode, "realtime_factor": factor, "watchdogs": watchdogs}
    arguments["checkpoint"] = make_policy(folder / "policy", task)
    random = np.random.default_rng(len(rows))
    with running_cell(folder, LAUNCH, random, **arguments) as (place, watch):
        for _ in range(PER_GRAPH):
            fault = _next_fault(read_log(folder), mode, wanted, watchdogs)
            if fault is None:
                return False
            if not _inject(folder, place, watch, fault, mode, watchdogs, console):
                return True
    return True


def _inject(
    folder: Path,
    place: Place,
    watch: MotionWatch,
    fault: Fault,
    mode: str,
    watchdogs: bool,
    console: Console,
) -> bool:
    """One injection; False when the graph should be started anew."""
    try:
        injection = run_trial(place, watch, fault, mode, int(place.random.integers(2**31)), watchdogs)
    except (CallError, TimeoutError) as error:
        console.print(f"{fault.name}: {error}; starting the graph anew", highlight=False)
        append_durably(folder / "broken.jsonl", json.dumps({"fault": fault.name, "why": str(error)}))
        return False
    if injection is not None:
        append_durably(folder / LOG, json.dumps(injection.to_row()))
        stop = injection.stop
        verdict = "holds" if injection.holds else "DOES NOT HOLD"
        text = f"{mode}, {fault.name}: stop {stop.stop_s * 1e3:.0f} ms, {verdict}"
        console.print(text, highlight=False)
    return True


def main(arguments: Sequence[str] | None = None) -> int:
    """Command line; returns the exit status."""
    parser = argparse.ArgumentParser(prog="soft-flow bench faults", description=__doc__)
    add = parser.add_argument
    add("--injections", type=int, default=5, help="of each fault and mode (default %(default)s)")
    add("--control", type=int, default=1, help="of each, without watchdogs (default %(default)s)")
    add("--output", type=Path, default=Path("runs/bench-faults"), help="folder; continued if it is there")
    add("--realtime-factor", type=float, default=0.5, help="of the simulated world (default %(default)g)")
    add("--report-only", action="store_true", help="write the results of what is there")
    options = parser.parse_args(arguments)
    folder, console = options.output.absolute(), Console()
    folder.mkdir(parents=True, exist_ok=True)
    if not options.report_only:
        for watchdogs, wanted in ((True, options.injections), (False, options.control)):
            for mode in BOTH:
                while run_graph(folder, mode, wanted, watchdogs, options.realtime_factor, console):
                    pass
    write_fault_results(read_log(folder), len(FAULTS))
    return 0


if __name__ == "__main__":
    sys.exit(main())
