"""Of what a step in the replay consists."""

from collections.abc import Sequence
from dataclasses import dataclass

from typing_extensions import Self

from soft_flow_contract.task_specification import TaskSpecification
from soft_flow_learner.errors import LearnerError


@dataclass(frozen=True)
class StepLayout:
    """Sizes of what is stored of every step.

    Attributes:
        proprioception: numbers P of the observation.
        action: numbers A of an action.
        cameras: (name, height, width) of the stored images, in pixels.
        changes: A flags: this number of an action is a change, which holds still at 0; the others are
            absolute targets, which hold still at their last value.
    """

    proprioception: int
    action: int
    cameras: tuple[tuple[str, int, int], ...]
    changes: tuple[bool, ...]

    def __post_init__(self) -> None:
        if len(self.changes) != self.action:
            raise LearnerError(
                f"changes: expected a flag for each of {self.action} action numbers, got {len(self.changes)}"
            )

    @classmethod
    def from_specification(
        cls, specification: TaskSpecification, cameras: Sequence[str] | None = None
    ) -> Self:
        """Layout of a task's steps with these cameras (None: all of the task; empty: no images).

        Raises:
            LearnerError: the task has no such camera.
        """
        known = {camera.name: camera for camera in specification.observation.cameras}
        names = specification.camera_names if cameras is None else tuple(cameras)
        for name in names:
            if name not in known:
                raise LearnerError(
                    f"task '{specification.task}' has no camera '{name}': use some of {list(known)}"
                )
        size = specification.action_dimension
        return cls(
            proprioception=specification.proprioception_dimension,
            action=size,
            cameras=tuple((name, known[name].height, known[name].width) for name in names),
            changes=tuple(index < specification.change_dimensions for index in range(size)),
        )
