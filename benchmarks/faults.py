"""Random faults in the running graph: real drivers on simulated hardware, each stop measured.

Beside it a control without watchdogs, in which the robot moves on: it shows that the test can fail.
"""

import argparse
import json
import sys
from collections.abc import Sequence
from dataclasses import dataclass
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

LOG, BROKEN = "injections.jsonl", "broken.jsonl"
PER_GRAPH = 25  # injections before the graph is started anew


def read_log(folder: Path, name: str = LOG) -> list[dict]:
    """The injections so far; or those that could not be carried out."""
    path = folder / name
    return [json.loads(line) for line in path.read_text().splitlines()] if path.exists() else []


@dataclass(frozen=True)
class Series:
    """Injections of the same kind of run.

    Attributes:
        folder: of the benchmark.
        faults: to inject.
        mode: who acts.
        wanted: injections of each.
        watchdogs: False for the control.
        factor: real-time factor that is asked for.
    """

    folder: Path
    faults: Sequence[Fault]
    mode: str
    wanted: int
    watchdogs: bool
    factor: float
    console: Console

    def _next(self) -> Fault | None:
        """The fault that was tried least; None when each was as often as wanted."""
        tried = {fault.name: 0 for fault in self.faults if self.mode in fault.modes}
        for row in read_log(self.folder) + read_log(self.folder, BROKEN):
            if row["mode"] == self.mode and row["watchdogs"] == self.watchdogs and row["fault"] in tried:
                tried[row["fault"]] += 1
        name = min(tried, key=lambda name: tried[name], default="")
        if not name or tried[name] >= self.wanted:
            return None
        return next(fault for fault in self.faults if fault.name == name)

    def run(self) -> None:
        """Inject all that is missing; whatever the graph does not survive is followed by another graph.

        Raises:
            RuntimeError: the graph does not start.
        """
        while self._next() is not None:
            self._run_graph()

    def _run_graph(self) -> None:
        task = one_camera_task(self.folder)
        arguments = {"task_file": task, "mode": self.mode, "realtime_factor": self.factor}
        arguments |= {"watchdogs": self.watchdogs, "checkpoint": make_policy(self.folder / "policy", task)}
        random = np.random.default_rng(len(read_log(self.folder)))
        with running_cell(self.folder, LAUNCH, random, **arguments) as (place, watch):
            place.client.settle()
            for _ in range(PER_GRAPH):
                fault = self._next()
                if fault is None or not self._inject(place, watch, fault):
                    return

    def _inject(self, place: Place, watch: MotionWatch, fault: Fault) -> bool:
        """One injection; False when the graph should be started anew."""
        seed = int(place.random.integers(2**31))
        try:
            injection = run_trial(
                place, watch, fault, self.mode, seed, self.watchdogs, self.folder / "traces"
            )
        except (CallError, TimeoutError) as error:
            self.console.print(f"{fault.name}: {error}; starting the graph anew", highlight=False)
            row = {"fault": fault.name, "mode": self.mode, "watchdogs": self.watchdogs, "why": str(error)}
            append_durably(self.folder / BROKEN, json.dumps(row))
            return False
        if injection is not None:
            row = {**injection.to_row(), "realtime_factor": self.factor}
            append_durably(self.folder / LOG, json.dumps(row))
            verdict = "holds" if injection.holds else "DOES NOT HOLD"
            text = f"{self.mode}, {fault.name}: stop {injection.stop.stop_s * 1e3:.0f} ms, {verdict}"
            self.console.print(text, highlight=False)
        return True


def main(arguments: Sequence[str] | None = None) -> int:
    """Command line; returns the exit status."""
    parser = argparse.ArgumentParser(prog="soft-flow bench faults", description=__doc__)
    add = parser.add_argument
    add("--injections", type=int, default=5, help="of each fault and mode (default %(default)s)")
    add("--control", type=int, default=1, help="of each, without watchdogs (default %(default)s)")
    add("--output", type=Path, default=Path("runs/bench-faults"), help="folder; continued if it is there")
    add("--realtime-factor", type=float, default=0.3, help="of the simulated world (default %(default)g)")
    add("--only", action="append", choices=[fault.name for fault in FAULTS], help="this fault (repeatable)")
    add("--report-only", action="store_true", help="write the results of what is there")
    options = parser.parse_args(arguments)
    folder, console = options.output.absolute(), Console()
    folder.mkdir(parents=True, exist_ok=True)
    faults = [fault for fault in FAULTS if not options.only or fault.name in options.only]
    series = [
        Series(folder, faults, mode, wanted, watchdogs, options.realtime_factor, console)
        for watchdogs, wanted in ((True, options.injections), (False, options.control))
        for mode in BOTH
    ]
    try:
        for missing in [] if options.report_only else series:
            missing.run()
    except KeyboardInterrupt:
        print("interrupted; call it again to continue", file=sys.stderr)
        return 130
    write_fault_results(read_log(folder), read_log(folder, BROKEN), len(FAULTS))
    return 0


if __name__ == "__main__":
    sys.exit(main())
