"""The tasks of learning experiments, by name; each is made when it is asked for."""

from pathlib import Path

from learning.learning_task import LearningTask

FOLDER = Path(__file__).resolve().parent
OGBENCH = ("ogbench_cube_single", "ogbench_scene")
TASKS = ("fork", "scissors_state", "scissors_shifted", "scissors_pixels", *OGBENCH)
SAME_BUDGETS = {"scissors_shifted": "scissors_state"}  # so that only the world differs


def make_task(name: str) -> LearningTask:
    """The task `name`.

    Raises:
        ValueError: there is none.
        LearnerError: it needs a package that is not installed.
    """
    if name == "scissors_state":
        from learning.scissors_state import ScissorsState  # a second to import, and not needed by others

        return ScissorsState()
    if name == "scissors_shifted":
        from learning.scissors_state import ScissorsShifted

        return ScissorsShifted()
    if name == "scissors_pixels":
        from learning.scissors_pixels import ScissorsPixels

        return ScissorsPixels()
    if name == "fork":
        from learning.fork import Fork

        return Fork()
    if name in OGBENCH:
        from learning.ogbench_packages import require_ogbench

        require_ogbench()
        from learning import ogbench_state

        return ogbench_state.cube_single() if name == OGBENCH[0] else ogbench_state.scene()
    raise ValueError(f"task '{name}': expected one of {', '.join(TASKS)}")


def budget_file(name: str) -> Path:
    """Where the budgets of a task are."""
    return FOLDER / f"{SAME_BUDGETS.get(name, name)}.yaml"
