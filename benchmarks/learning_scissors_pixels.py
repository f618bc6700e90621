"""Learning to retrieve the scissors and cut the tape from three cameras: what each ingredient is worth."""

import sys
from collections.abc import Sequence

from learning.bench import Bench
from learning.bench import main as run_bench
from learning.comparison_figures import Goal

BENCH = Bench(
    task="scissors_pixels",
    title=(
        "The simulated cell seen by its three cameras, without the pose of the scissors; demonstrations of a "
        "scripted operator, about 60 % of which succeed, then offline RL, then rounds of rollouts. Reward 1 "
        "at the cut, which ends the episode. All arms and seeds are evaluated from the same held-out starts."
    ),
    flags=("grasped", "cut"),
    goals=(
        Goal(("soft_flow", "online"), ("soft_flow", "imitation"), "cut", 20.0),
        Goal(("soft_flow", "online"), ("control", "online"), "cut", 10.0),
    ),
    arms=("soft_flow", "control"),
)


def main(arguments: Sequence[str] | None = None) -> int:
    """Command line."""
    return run_bench(BENCH, arguments)


if __name__ == "__main__":
    sys.exit(main())
