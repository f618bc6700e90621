"""What the experiments on the scissors have in common as benchmarks: stages, goals and arms."""

from learning.bench import Bench
from learning.comparison_figures import Goal

GOALS = (
    Goal(("soft_flow", "online"), ("soft_flow", "imitation"), "cut", 20.0),
    Goal(("soft_flow", "online"), ("control", "online"), "cut", 10.0),
)


def scissors_bench(task: str, title: str) -> Bench:
    """The benchmark of a task of `learning.tasks` that grasps and cuts."""
    return Bench(task=task, title=title, flags=("grasped", "cut"), goals=GOALS, arms=("soft_flow", "control"))
