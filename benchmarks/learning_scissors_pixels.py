"""Learning to retrieve the scissors and cut the tape from three cameras: what each ingredient is worth."""

import sys
from collections.abc import Sequence

from learning.bench import main as run_bench
from learning.scissors_bench import scissors_bench

BENCH = scissors_bench(
    "scissors_pixels",
    "The simulated cell seen by its three cameras, without the pose of the scissors; demonstrations of a "
    "scripted operator, about 60 % of which succeed, then offline RL, then rounds of rollouts. Reward 1 "
    "at the cut, which ends the episode. All arms and seeds are evaluated from the same held-out starts.",
)


def main(arguments: Sequence[str] | None = None) -> int:
    """Command line."""
    return run_bench(BENCH, arguments)


if __name__ == "__main__":
    sys.exit(main())
