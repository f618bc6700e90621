"""Learning to pass an obstacle on either side; some demonstrations fail: flow or Gaussian."""

import sys
from collections.abc import Sequence

from learning.bench import Bench
from learning.bench import main as run_bench
from learning.comparison_figures import Goal

BENCH = Bench(
    task="fork",
    title=(
        "A point has to pass an obstacle, left or right, on its way to a goal; the mean of both ways is "
        "fatal. 300 demonstrations a seed, some of which cut the corner or miss the goal. Chunks of 8 "
        "velocities, 4 of them executed; reward 1 at the goal."
    ),
    flags=("reached",),
    goals=(
        Goal(("soft_flow", "imitation"), ("gaussian", "imitation"), "reached", 25.0),
        Goal(("soft_flow", "online"), ("gaussian", "online"), "reached", 25.0),
        Goal(("soft_flow", "online"), ("control", "online"), "reached", -15.0, above_zero=False),
    ),
    arms=("soft_flow", "control", "gaussian", "per_step", "flow_matching"),
)


def main(arguments: Sequence[str] | None = None) -> int:
    """Command line."""
    return run_bench(BENCH, arguments)


if __name__ == "__main__":
    sys.exit(main())
