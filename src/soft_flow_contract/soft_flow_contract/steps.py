"""The typed data that flows through the graph, free of ROS: observations and the steps of an episode."""

from dataclasses import dataclass, field

import numpy as np

from soft_flow_contract.errors import ObservationError
from soft_flow_contract.task_specification import TaskSpecification


@dataclass(frozen=True)
class ObservationData:
    """An observation with decoded images.

    Attributes:
        stamp_ns: the tick, in nanoseconds.
        proprioception: (P,) float32, in the order and units of the specification.
        images: camera name -> (height, width, 3) uint8, RGB.
    """

    stamp_ns: int
    proprioception: np.ndarray
    images: dict[str, np.ndarray]

    def require_valid(self, specification: TaskSpecification) -> None:
        """Check shapes and finiteness.

        Raises:
            ObservationError: naming the field.
        """
        expected = (specification.proprioception_dimension,)
        if self.proprioception.shape != expected:
            raise ObservationError(
                f"proprioception: expected shape {expected}, got {self.proprioception.shape}"
            )
        for name, part in specification.proprioception_slices.items():
            if not np.all(np.isfinite(self.proprioception[part])):
                raise ObservationError(f"proprioception field '{name}' is not finite; check its sensor")
        for camera in specification.observation.cameras:
            image = self.images.get(camera.name)
            shape = (camera.height, camera.width, 3)
            if image is None:
                raise ObservationError(f"camera '{camera.name}': no image; check that it is connected")
            if image.shape != shape or image.dtype != np.uint8:
                raise ObservationError(
                    f"camera '{camera.name}': expected uint8 {shape}, got {image.dtype} {image.shape}"
                )


@dataclass(frozen=True)
class StepData:
    """One step of an episode (RLDS convention: the last step has the final observation and no action).

    Attributes:
        observation: o_k.
        action: (A,) float32 executed action in contract space; None in the last step.
        source: ExecutedAction.SOURCE_*; -1 in the last step.
        reward: of the action.
        flags: stage name -> reached after the action.
    """

    episode_id: str
    step: int
    observation: ObservationData
    action: np.ndarray | None
    source: int
    reward: float
    flags: dict[str, bool] = field(default_factory=dict)
    is_first: bool = False
    is_last: bool = False
    is_terminal: bool = False
    outcome: str = ""
