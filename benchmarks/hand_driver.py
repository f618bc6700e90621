"""The hand's driver: a read of all motors and a write of targets, beside orca_core alone on the same bus.

Servo bus (simulated, on a pseudo-terminal), driver and the sender of commands are processes of their own; the
driver is commanded 20 times a second. In the same run, in turns: orca_core alone in a process without ROS,
which reads and writes at the same rate. Once the bus answers as fast as it can, once bytes take their time.
"""

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import yaml
from domain_coordinator import domain_id
from driver_commander_node import HandCommander
from figures import Figure, write_results
from machine_time import ProcessorTime

from orca_hand_driver.hand_files import HandFiles, prepare_hand_files
from soft_flow_contract.robot_cell import RobotCell
from soft_flow_sim.servo_bus.factory_calibration import write_factory_calibration

ROOT = Path(__file__).resolve().parents[1]
CELL = ROOT / "config" / "robots" / "protocol_sim.yaml"
RATIO_GOAL = 1.3
COMMAND, RIVAL = "./soft-flow bench hand_driver", "orca_core alone"


@dataclass
class Times:
    """Of every round: medians and 99th percentiles of a cycle (ms), achieved rate (Hz), share of a core."""

    median: list[float] = field(default_factory=list)
    p99: list[float] = field(default_factory=list)
    rate: list[float] = field(default_factory=list)
    processor: list[float] = field(default_factory=list)


@contextmanager
def process(*arguments: str) -> Iterator[subprocess.Popen[str]]:
    """A Python module as a process, ended at the end."""
    child = subprocess.Popen([sys.executable, "-m", *arguments], stdout=subprocess.PIPE, text=True)
    try:
        yield child
    finally:
        child.terminate()
        child.communicate()


@contextmanager
def servo_bus(cell: Path, *options: str) -> Iterator[None]:
    """The simulated servos."""
    with process("soft_flow_sim.servo_bus.main", "--robot-file", str(cell), *options) as child:
        assert child.stdout is not None
        child.stdout.readline()  # it says that it is there
        yield


def write_cell(folder: Path) -> Path:
    """A cell whose hand is on a bus of its own, calibrated."""
    data = yaml.safe_load(CELL.read_text())
    data["hand"] |= {"port": str(folder / "hand"), "calibration": str(folder / "calibration.yaml")}
    data["hand"]["command_timeout"] = 1.0  # a busy machine is no reason to stop
    cell = folder / "cell.yaml"
    cell.write_text(yaml.safe_dump(data))
    write_factory_calibration(folder / "calibration.yaml", "v2", data["hand"]["model"])
    return cell


def processor_seconds(pid: int) -> float:
    """Processor time of a process so far."""
    fields = Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def measure_driver(cell: Path, seconds: float, times: Times) -> None:
    """One round through the node."""
    node = ["orca_hand_driver.orca_hand_node", "--ros-args", "-p", f"robot_file:={cell}"]
    with domain_id() as domain:
        os.environ |= {"ROS_DOMAIN_ID": str(domain), "ROS_AUTOMATIC_DISCOVERY_RANGE": "LOCALHOST"}
        with process(*node, "-p", "silence_limit:=1.0") as child:
            commander = HandCommander()
            commander.until_ready()
            commander.command_for(1.0)
            spent, began = processor_seconds(child.pid), time.monotonic()
            commander.command_for(seconds)
            share = (processor_seconds(child.pid) - spent) / (time.monotonic() - began)
            values = commander.values
            commander.close()
    times.median.append(float(values["cycle_p50_ms"]))
    times.p99.append(float(values["cycle_p99_ms"]))
    times.rate.append(float(values["rate_hz"]))
    times.processor.append(share)


def measure_bare(files: HandFiles, cycles: int, times: Times) -> None:
    """One round of orca_core alone."""
    script = [sys.executable, str(ROOT / "benchmarks" / "_bare_hand.py"), "--cycles", str(cycles)]
    paths = ["--configuration", str(files.configuration), "--calibration", str(files.calibration)]
    done = subprocess.run([*script, *paths], check=True, stdout=subprocess.PIPE, text=True)
    durations = 1e3 * np.array(json.loads(done.stdout.splitlines()[-1]))
    times.median.append(float(np.median(durations)))
    times.p99.append(float(np.percentile(durations, 99)))


def measure(rounds: int, seconds: float, options: tuple[str, ...], say: Callable[[str], None]) -> list[Times]:
    """Driver and orca_core alone, in turns, on one bus."""
    ours, alone = Times(), Times()
    with tempfile.TemporaryDirectory() as folder:
        os.environ["ROS_HOME"] = folder
        cell = write_cell(Path(folder))
        files = prepare_hand_files(RobotCell.load(cell), cell)
        with servo_bus(cell, *options):
            for number in range(rounds):
                measure_bare(files, int(100 * seconds), alone)
                measure_driver(cell, seconds, ours)
                say(f"round {number + 1}: alone {alone.median[-1]:.2f} ms, driver {ours.median[-1]:.2f} ms")
    return [ours, alone]


def figures_of(bus: str, ours: Times, alone: Times) -> list[Figure]:
    """Ratio, times and rate on one bus."""
    ratio = float(np.median(np.array(ours.median) / np.array(alone.median)))
    holds = ratio <= RATIO_GOAL
    common = {"trials": len(ours.median), "command": COMMAND}

    def figure(text: str, value: list[float], unit: str, rival: list[float] | None = None) -> Figure:
        beside = {"rival": RIVAL, "rival_value": float(np.median(rival))} if rival else {}
        return Figure(f"{bus}: {text}", float(np.median(value)), unit, **beside, **common)

    name = f"{bus}: read and write, median over that of orca_core"
    goal = f"<= {RATIO_GOAL:g}"
    return [
        Figure(name, ratio, "times", goal, holds, RIVAL, 1.0, **common),
        figure("read and write, p50", ours.median, "ms", alone.median),
        figure("read and write, p99", ours.p99, "ms", alone.p99),
        figure("cycles a second (100 wanted)", ours.rate, "Hz"),
        figure("the driver's processor time", [100 * share for share in ours.processor], "% of a core"),
    ]


def main() -> int:
    """Measure, write the results, and return 0 if all goals are reached."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=6, help="of both, in turns, default %(default)s")
    parser.add_argument("--seconds", type=float, default=6.0, help="a round, default %(default)s")
    options = parser.parse_args()
    before, figures = ProcessorTime.now(), []
    for bus, arguments in (("bus without delay", ()), ("bus at 3 Mbaud", ("--wire-time",))):
        times = measure(options.rounds, options.seconds, arguments, lambda line: print(line, flush=True))
        figures += figures_of(bus, *times)
    stolen, busy = before.shares_until(ProcessorTime.now())
    write_results(
        "hand_driver",
        figures,
        f"{options.rounds} rounds of {options.seconds:g} s in turns; medians over the rounds, the ratio that "
        "of a round's two medians. A cycle is one read of position, speed and current of all motors, joint "
        "angles out of that, and one write of 17 targets. The driver also checks commands, leads its "
        "reference, publishes joint states 100 times a second and looks at temperatures once a second; its "
        f"executor shares the interpreter. The machine was {100 * busy:.0f} % busy, {100 * stolen:.0f} % of "
        "its time was stolen.",
    )
    return 0 if all(figure.holds is not False for figure in figures) else 1


if __name__ == "__main__":
    sys.exit(main())
