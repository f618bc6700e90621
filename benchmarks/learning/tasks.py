"""The tasks of learning experiments, by name; each is made when it is asked for."""

from pathlib import Path

from learning.learning_task import LearningTask

FOLDER = Path(__file__).resolve().parent
TASKS = ("fork", "scissors_state", "scissors_pixels")


def make_task(name: str) -> LearningTask:
    """The task `name`.

    Raises:
        ValueError: there is none.
    """
    if name == "scissors_state":
        from learning.scissors_state import ScissorsState  # a second to import, and not needed by others

        return ScissorsState()
    if name == "scissors_pixels":
        from learning.scissors_pixels import ScissorsPixels

        return ScissorsPixels()
    if name == "fork":
        from learning.fork import Fork

        return Fork()
    raise ValueError(f"task '{name}': expected one of {', '.join(TASKS)}")


def budget_file(name: str) -> Path:
    """Where the budgets of a task are."""
    return FOLDER / f"{name}.yaml"
