"""The whole graph on simulated hardware, running freely: it stops when a part is lost, and only then.

The world, the servo bus and all nodes are processes of their own; a fault comes at a random moment of motion.
The benchmark `faults` injects far more; here is one of each layer, and the control without watchdogs.
"""

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import pytest
import yaml

ROOT = Path(__file__).parents[1]
sys.path.insert(0, str(ROOT / "benchmarks"))
from fault_injection.catalogue import FAULTS, Place  # noqa: E402
from fault_injection.cell_graph import LAUNCH, make_policy, running_cell  # noqa: E402
from fault_injection.motion_watch import MotionWatch  # noqa: E402
from fault_injection.trial import Injection, run_trial  # noqa: E402

FACTOR = 0.2  # of real time: a machine that tests share keeps up with it, and its hiccups cost little
CONTROLS = 5  # injections without watchdogs, of which one has to move on
TRIES = 8  # until the robot moves at the moment of the fault
NAMED = {fault.name: fault for fault in FAULTS}


@contextmanager
def moving_cell(folder: Path, watchdogs: bool) -> Iterator[tuple[Place, MotionWatch]]:
    """A graph with an untrained policy, which moves all joints; without cameras, which take the most time."""
    data = yaml.safe_load((ROOT / "config" / "tasks" / "scissors.yaml").read_text(encoding="utf-8"))
    data["observation"]["cameras"] = []
    task = folder / "task.yaml"
    task.write_text(yaml.safe_dump(data), encoding="utf-8")
    policy = make_policy(folder / "policy", task)
    given = {"task_file": task, "checkpoint": policy, "mode": "policy", "realtime_factor": FACTOR}
    with running_cell(folder, LAUNCH, np.random.default_rng(0), watchdogs=watchdogs, **given) as running:
        running[0].client.settle()
        yield running


def inject(
    place: Place, watch: MotionWatch, name: str, watchdogs: bool, traces: Path, first_seed: int = 0
) -> Injection:
    for seed in range(first_seed, first_seed + TRIES):
        injection = run_trial(place, watch, NAMED[name], "policy", seed, watchdogs, traces)
        if injection is not None:
            return injection
    raise AssertionError("the robot never moved when the fault was due")


@pytest.mark.timeout(600)
def test_the_robot_stands_soon_after_a_part_is_lost_and_stays_so(tmp_path: Path) -> None:
    with moving_cell(tmp_path, watchdogs=True) as (place, watch):
        lost = {
            name: inject(place, watch, name, True, tmp_path)
            for name in ("policy frozen", "arm driver frozen", "servo bus silent", "FCI silent")
        }
    assert all(injection.holds for injection in lost.values()), lost
    assert "bus silent" in " ".join(lost["servo bus silent"].layers)
    assert any(layer.startswith("arm:") for layer in lost["FCI silent"].layers)


@pytest.mark.timeout(600)
def test_without_watchdogs_it_moves_on(tmp_path: Path) -> None:
    with moving_cell(tmp_path, watchdogs=False) as (place, watch):
        # Now and then the untrained policy lets the hand rest by itself just then.
        control = (
            inject(place, watch, "arm driver frozen", False, tmp_path, TRIES * again)
            for again in range(CONTROLS)
        )
        assert not all(injection.holds for injection in control)
