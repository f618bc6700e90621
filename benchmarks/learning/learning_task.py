"""What an experiment needs to know of a task, and the recording of its demonstrations."""

from collections.abc import Sequence
from pathlib import Path
from typing import Protocol

from learning.closed_loop import Recording, World
from learning.episode_file import load_episodes, save_episodes
from soft_flow_contract.task_specification import TaskSpecification
from soft_flow_learner.episode import Episode

# Seeds of episodes: an experiment's own ones lie below those of the starts that all experiments share.
DEMONSTRATIONS_A_SEED, ROLLOUTS_A_SEED = 1000, 1000
FIRST_ROLLOUT, FIRST_HELD_OUT, FIRST_FIXED = 100_000_000, 200_000_000, 300_000_000


class LearningTask(Protocol):
    """A task with worlds and an operator.

    Attributes:
        name: such as "fork".
        specification: its contract.
        slots: how many worlds are worth while side by side.
    """

    name: str
    specification: TaskSpecification
    slots: int

    def worlds(self, count: int, fixed_start: bool) -> Sequence[World]:
        """Worlds whose episodes start at random, or all at the nominal start."""
        ...

    def demonstrate(self, seeds: Sequence[int]) -> list[Recording]:
        """Episodes of the operator, some of which fail."""
        ...


def demonstration_file(root: Path, seed: int) -> Path:
    """Where the demonstrations of a seed lie, for all arms."""
    return root / "demonstrations" / f"{seed}.safetensors"


def demonstrations(task: LearningTask, path: Path, count: int, seed: int) -> list[Episode]:
    """The demonstrations of a seed: those in the file `path`, recorded first if it is not there.

    Raises:
        ValueError: the file holds another number of them.
    """
    if not path.exists():
        first = seed * DEMONSTRATIONS_A_SEED
        recordings = task.demonstrate(range(first, first + count))
        flag = task.specification.episode.success_flag
        save_episodes(
            path,
            [r.episode(f"demonstration-{r.seed}", flag, "demonstration") for r in recordings if r.valid],
        )
    episodes = load_episodes(path)
    if len(episodes) > count:
        raise ValueError(
            f"{path}: holds {len(episodes)} demonstrations, expected {count}; choose another --output"
        )
    return episodes
