"""The control loop while a learner works on the same processors, beside the same loop without one.

Blocks with and without the learner take turns, so that a machine whose load changes treats both alike. A
block that is there is not run again: after an interruption, call it again with the same --output.
"""

import argparse
import json
import os
import shutil
import sys
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import yaml
from control_loop import prepare_policy, run_loop
from figures import Figure, write_results
from graph_runs import StageError, exit_status
from online_loop_figures import (
    STOPPED,
    LoopTicks,
    Takeover,
    loop_figures,
    read_takeovers,
    updates_per_second,
    weights_figures,
)
from rich.console import Console

from soft_flow_bringup.graph_commands import launch_command, rollout_command, task_file
from soft_flow_contract.task_specification import TaskSpecification
from soft_flow_policy.checkpoint import open_checkpoint
from soft_flow_policy.weights import pack_weights

# A policy whose weights are 5 MB, and a learner that never stops: what it learns is not looked at.
CONFIG = {
    "policy": {"flow": {"width": 96}, "context_width": 260},
    "stages": {"largest_outside": 1.0, "largest_box": 1e6, "divergence": 1e6, "replay_steps": 20_000},
}
ENDLESS = 1_000_000  # episodes, updates


class Block:
    """One stretch of the loop, with or without a learner.

    Attributes:
        folder: its logs.
        learns: whether a learner works beside it.
    """

    def __init__(self, output: Path, number: int, learns: bool) -> None:
        """Block `number` of its kind."""
        self.learns = learns
        self.folder = output / f"{'learning' if learns else 'alone'}-{number}"
        self._done = self.folder / "shares.json"

    def run(self, options: argparse.Namespace, policy: Path, console: Console) -> None:
        """Run it, unless it is there.

        Raises:
            StageError: the graph did not run, or the learner stopped.
        """
        if self._done.exists():
            return
        console.print(f"{self.folder.name}: {options.minutes:g} minutes", highlight=False)
        shutil.rmtree(self.folder, ignore_errors=True)  # of an interrupted call
        ticks = round(60 * options.minutes * TaskSpecification.load(task_file(options.task)).rate_hz)
        shares = run_loop(self.folder, self._command(options, policy), options.task, ticks, console)
        log = self.folder / "graph.log"
        if STOPPED in log.read_text(encoding="utf-8", errors="replace"):
            raise StageError(f"the learner stopped; see {log}")
        self._done.write_text(json.dumps(shares), encoding="utf-8")

    def _command(self, options: argparse.Namespace, policy: Path) -> list[str]:
        real_time = {"lockstep": False, "realtime_factor": 1.0, "task": options.task}
        if not self.learns:
            return rollout_command(policy, self.folder / "episodes", ENDLESS, 0, **real_time)
        values = {
            "checkpoint": policy,
            "bags": options.output / "demonstrations",
            "output": self.folder / "fine-tuning",
            "rounds": 1,
            "episodes_per_round": ENDLESS,
            "first_seed": 0,
            "first_updates": ENDLESS,
            "temperature": 0.3,
            "learner_config": config_file(options.output),
            "learner_niceness": options.niceness,
            "learner_threads": options.threads,
            "learner_cores": options.cores,
            "publish_period": options.publish_period,
        }
        return launch_command("finetune.launch.xml", {**values, **real_time})

    def ticks(self) -> LoopTicks:
        """Of its log."""
        return LoopTicks.read(self.folder / "loop.jsonl")

    def takeovers(self) -> list[Takeover]:
        """Of its log."""
        return read_takeovers(self.folder / "graph.log")

    def shares(self) -> tuple[float, float]:
        """Stolen and busy shares of the processors' time."""
        stolen, busy = json.loads(self._done.read_text(encoding="utf-8"))
        return stolen, busy


def config_file(output: Path) -> Path:
    """The configuration of policy and learner."""
    output.mkdir(parents=True, exist_ok=True)
    path = output / "learner.yaml"
    path.write_text(yaml.safe_dump(CONFIG), encoding="utf-8")
    return path


def machine_figures(blocks: Sequence[Block]) -> list[Figure]:
    """How fast the learner was, and what else the processors did."""
    learning, alone = ([block for block in blocks if block.learns == learns] for learns in (True, False))
    pace = np.nanmean([updates_per_second(block.takeovers()) for block in learning])
    figures = [Figure("updates of the learner meanwhile", round(float(pace), 3), "1/s")]
    for index, name in enumerate(("stolen by other machines", "in use")):
        value, rival = (
            round(100 * float(np.mean([block.shares()[index] for block in some])), 2)
            for some in (learning, alone)
        )
        without = "the same without a learner"
        figures.append(Figure(f"processor time {name}", value, "%", rival=without, rival_value=rival))
    return figures


def run(options: argparse.Namespace, console: Console) -> None:
    """Run the blocks, write the results.

    Raises:
        StageError: a graph did not run.
    """
    config = config_file(options.output)
    policy = prepare_policy(options.output, options.task, console, "--config", str(config))
    blocks = [
        Block(options.output, number, learns) for number in range(options.blocks) for learns in (True, False)
    ]
    for block in blocks:
        block.run(options, policy, console)
    learning = LoopTicks.joined([block.ticks() for block in blocks if block.learns])
    alone = LoopTicks.joined([block.ticks() for block in blocks if not block.learns])
    takeovers = [takeover for block in blocks for takeover in block.takeovers() if block.learns]
    megabytes = len(pack_weights(open_checkpoint(policy).policy())) / 1e6
    notes = (
        f"finetune.launch.xml in real time on {os.cpu_count()} cores, simulator and rendering included, "
        f"beside rollout.launch.xml; {options.blocks} blocks of {options.minutes:g} minutes each, in turns. "
        f"The learner: niceness {options.niceness}, {options.threads} thread(s), processors "
        f"{options.cores or 'all'}, three cameras, batches of 128, weights every "
        f"{options.publish_period:g} s, never idle."
    )
    figures = [
        *loop_figures(learning, alone),
        *weights_figures(takeovers, learning, megabytes),
        *machine_figures(blocks),
    ]
    write_results("online_loop", figures, notes)


def main(arguments: Sequence[str] | None = None) -> int:
    """Command line; returns the exit status, see `exit_status`."""
    parser = argparse.ArgumentParser(prog="soft-flow bench online_loop", description=__doc__)
    add = parser.add_argument
    add(
        "--minutes",
        type=float,
        default=5.0,
        help="of a block (default %(default)g)",
    )
    add("--blocks", type=int, default=2, help="with the learner, and as many without (default %(default)s)")
    add("--niceness", type=int, default=10, help="of the learner (default %(default)s)")
    add("--threads", type=int, default=1, help="of the learner (default %(default)s)")
    add("--cores", default="", help="processors of the learner, such as 1 (default: all)")
    add("--publish-period", type=float, default=5.0, help="s between weights (default %(default)g)")
    add("--output", type=Path, default=Path("runs/bench-online-loop"), help="folder (default %(default)s)")
    add("--task", default="scissors", help="task in config/tasks (default %(default)s)")
    options = parser.parse_args(arguments)
    options.output = options.output.absolute()
    return exit_status(lambda: run(options, Console()))


if __name__ == "__main__":
    sys.exit(main())
