"""The arm's driver: how old a joint state is when a subscriber has it, and how soon the arm stands.

Controller (the simulated arm's libfranka server), driver and subscriber are processes of their own. A state
is known by its joint positions, which nothing on its way changes; the controller records when it sent them.
Beside it, in the same run: franky alone, without ROS, which reads states and drives along the same paths.
"""

import argparse
import os
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from arm_trace import TICK, Drive, Sent
from domain_coordinator import domain_id
from driver_commander_node import ArmCommander
from figures import Figure, write_results
from machine_time import ProcessorTime

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT / "src" / "franka_bringup" / "test"))
from arm_process import ArmProcess  # noqa: E402
from bridge_graph import write_cell  # noqa: E402

LATENCY_GOAL_MS, RATE_GOAL_HZ, STOP_GOAL_MS = 10.0, 100.0, 250.0
COMMAND = "./soft-flow bench arm_bridge"
RIVAL = "franky alone"


@dataclass(frozen=True)
class Run:
    """What one client saw.

    Attributes:
        received: (N,) s of the steady clock.
        position: (N, 7) rad, as received.
        ended: when the last target of each drive was sent.
    """

    received: np.ndarray
    position: np.ndarray
    ended: Sequence[float]


@contextmanager
def driver(cell: Path) -> Iterator[None]:
    """The node as a process."""
    node = [sys.executable, "-m", "soft_flow_franka_bringup.fci_bridge_node", "--ros-args"]
    process = subprocess.Popen([*node, "-p", f"robot_file:={cell}"])
    try:
        yield
    finally:
        process.terminate()
        process.wait()


def run_bridge(cell: Path, drives: Sequence[Drive]) -> Run:
    """Drive through the node."""
    with domain_id() as domain:
        os.environ |= {"ROS_DOMAIN_ID": str(domain), "ROS_AUTOMATIC_DISCOVERY_RANGE": "LOCALHOST"}
        with driver(cell):
            commander = ArmCommander()
            commander.until_ready()
            ended = [commander.follow(drive) for drive in drives]
            commander.close()
    return Run(np.array(commander.received), np.array(commander.positions), ended)


def run_raw(cell: Path, drives: Sequence[Drive], folder: Path) -> Run:
    """Drive by franky alone."""
    texts = [f"{drive.speed},{drive.angular_frequency},{drive.periods}" for drive in drives]
    output = folder / "raw.npz"
    script = [sys.executable, str(ROOT / "benchmarks" / "_raw_arm.py"), "--robot-file", str(cell)]
    subprocess.run([*script, "--output", str(output), "--drives", *texts], check=True)
    with np.load(output) as data:
        return Run(data["received"], data["position"], data["ended"])


def figures_of(sent: Sent, bridge: Run, raw: Run, drives: Sequence[Drive]) -> list[Figure]:
    """Latency, rate and stops."""
    ours, theirs = (1e3 * sent.latencies(run.received, run.position) for run in (bridge, raw))
    gaps, rival_gaps = (1e3 * np.diff(run.received) for run in (bridge, raw))
    gaps, rival_gaps = gaps[gaps < 500], rival_gaps[rival_gaps < 500]  # not those between drives

    def figure(
        text: str, value: float, unit: str, rival: float, goal: str = "", holds: bool | None = None
    ) -> Figure:
        known = float(rival) if np.isfinite(rival) else None  # None: a reflex ended the rival's motion
        return Figure(text, float(value), unit, goal, holds, RIVAL, known, len(ours), COMMAND)

    p99 = float(np.percentile(ours, 99))
    rate = 1e3 / float(np.mean(gaps))
    rows = [
        figure("state sent to state received, p50", np.median(ours), "ms", float(np.median(theirs))),
        figure(
            "state sent to state received, p99", p99, "ms", float(np.percentile(theirs, 99)),
            f"< {LATENCY_GOAL_MS:g}", p99 < LATENCY_GOAL_MS,
        ),
        figure(
            "rate", rate, "Hz", 1e3 / float(np.mean(rival_gaps)), f">= {RATE_GOAL_HZ:g}", rate >= RATE_GOAL_HZ
        ),
        figure(
            "jitter: receipt after the one before, off its median, p99",
            float(np.percentile(np.abs(gaps - np.median(gaps)), 99)), "ms",
            float(np.percentile(np.abs(rival_gaps - np.median(rival_gaps)), 99)),
        ),
    ]  # fmt: skip
    for drive, mine, other in zip(drives, bridge.ended, raw.ended, strict=True):
        stop, rival = (1e3 * sent.motion_over(end) if np.isfinite(end) else np.nan for end in (mine, other))
        text = f"last command at {drive.speed:g} m/s to the end of all motion"
        rows.append(figure(text, stop, "ms", rival, f"<= {STOP_GOAL_MS:g}", stop <= STOP_GOAL_MS))
    return rows


def main() -> int:
    """Measure and write the results."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument(
        "--periods", type=int, default=10, help="of the slow path, 3 s each, default %(default)s"
    )
    options = parser.parse_args()
    drives = (Drive(0.2, 2.0, options.periods), Drive(0.5, 4.0, 2))
    before = ProcessorTime.now()
    with tempfile.TemporaryDirectory() as folder:
        record = Path(folder) / "sent.npy"
        server = ArmProcess("", "--sent", str(record))
        cell = write_cell(Path(folder), server.address)
        try:
            bridge = run_bridge(cell, drives)
            raw = run_raw(cell, drives, Path(folder))
        finally:
            server.close()
        sent = Sent.load(record)
    stolen, busy = before.shares_until(ProcessorTime.now())
    notes = (
        f"{os.cpu_count()} cores, {100 * busy:.0f} % in use, {100 * stolen:.1f} % stolen by other machines; "
        f"niceness {os.getpriority(os.PRIO_PROCESS, 0)}. "
        f"{RIVAL}: a process without ROS reads the state as often, and gives franky's tracker the same "
        f"targets, led linearly over a tick of {1e3 * TICK:g} ms, with its own damping and without "
        "feed-forward. Motion is over when no joint is faster than 0.05 rad/s, by the controller's own "
        "record; the goals are those of the whole graph."
    )
    write_results("arm_bridge", figures_of(sent, bridge, raw, drives), notes)
    return 0


if __name__ == "__main__":
    sys.exit(main())
