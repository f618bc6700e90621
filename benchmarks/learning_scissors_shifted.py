"""Learning to cut the tape in another world than the demonstrated one, as on a real robot."""

import sys
from collections.abc import Sequence

from learning.bench import main as run_bench
from learning.scissors_bench import scissors_bench

BENCH = scissors_bench(
    "scissors_shifted",
    "As learning_scissors_state, but the policy acts, learns online and is evaluated in a shifted world, "
    "which stands for a real robot: scissors a third heavier, hand a third more slippery, servos a fifth "
    "softer, commands 10 ms late, noise on measured joints, tape that takes a fifth more force. "
    "Demonstrations are of the nominal world.",
)


def main(arguments: Sequence[str] | None = None) -> int:
    """Command line."""
    return run_bench(BENCH, arguments)


if __name__ == "__main__":
    sys.exit(main())
