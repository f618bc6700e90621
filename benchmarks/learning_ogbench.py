"""Learning two tasks of OGBench, their state observed and their reward sparse: what the critic is worth."""

import argparse
import sys
from collections.abc import Sequence

from learning.bench import Bench
from learning.bench import main as run_bench
from learning.comparison_figures import Goal
from learning.ogbench_packages import require_ogbench

from soft_flow_learner.errors import LearnerError

DATA = (
    "Demonstrations by OGBench's planning oracle, with noise, which at some of its moves has a random target "
    "instead of the right one; how many succeed is in the table. Then offline RL, then rounds of rollouts. "
    "Chunks of 10 actions, 5 of them executed; reward 1 at the success, which ends the episode."
)
GOALS = (
    Goal(("soft_flow", "online"), ("soft_flow", "imitation"), "success", 10.0),
    Goal(("soft_flow", "online"), ("control", "online"), "success", 5.0),
)


def bench(task: str, title: str) -> Bench:
    """The benchmark of one task."""
    return Bench(
        task=f"ogbench_{task}",
        title=title,
        flags=("success",),
        goals=GOALS,
        arms=("soft_flow", "control"),
        program=f"learning_ogbench --task {task}",
    )


BENCHES = {
    "cube_single": bench(
        "cube_single",
        "OGBench's cube-single, task 2, its state observed: put a cube 15 cm further away within 200 steps. "
        + DATA,
    ),
    "scene": bench(
        "scene",
        "OGBench's scene, task 2, its state observed: unlock and close a drawer and a window, and lock both "
        "again, within 750 steps. " + DATA,
    ),
}


def main(arguments: Sequence[str] | None = None) -> int:
    """Command line; both tasks, one after the other, unless one is named."""
    parser = argparse.ArgumentParser(add_help=False)
    parser.add_argument("--task", choices=BENCHES)
    options, rest = parser.parse_known_args(arguments)
    if options.task is None and any(word.startswith("--output") for word in rest):
        parser.error("--output: a folder is for one task; name it with --task")
    try:
        require_ogbench()
    except LearnerError as error:
        print(f"error: {error}", file=sys.stderr)
        return 1
    tasks = [options.task] if options.task else list(BENCHES)
    return max(run_bench(BENCHES[task], rest) for task in tasks)


if __name__ == "__main__":
    sys.exit(main())
