"""The scissors task as it is: what three cameras see, and no pose of the scissors."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from learning.closed_loop import Recording
from learning.scissors_state import ScissorsStateWorld
from soft_flow_contract.task_specification import TaskSpecification
from soft_flow_sim.domain_parameters import FIXED_START, NOMINAL, DomainParameters
from soft_flow_sim.scissors_environment import ScissorsEnvironment, find_task_file
from soft_flow_sim.scissors_operator import ScissorsOperator


class ScissorsPixelsWorld(ScissorsStateWorld):
    """The simulated cell with its cameras, see `SeeingWorld`."""

    def __init__(self, domain: DomainParameters) -> None:
        # Cameras render when they are asked to look, not with every observation.
        self.environment = ScissorsEnvironment(domain=domain, images=False, render_mode="rgb_array")
        self.stages = self.environment.specification.episode.flags

    def look(self) -> Mapping[str, np.ndarray]:
        """See SeeingWorld."""
        task = self.environment.task
        return {name: task.render(name) for name in self.environment.specification.camera_names}

    def _observe(self, observation: dict[str, Any]) -> np.ndarray:
        return np.asarray(observation["proprioception"], dtype=np.float32)


class ScissorsPixels:
    """See `LearningTask`."""

    name = "scissors_pixels"
    slots = 8

    def __init__(self) -> None:
        self.specification = TaskSpecification.load(find_task_file())

    def worlds(self, count: int, fixed_start: bool) -> Sequence[ScissorsPixelsWorld]:
        """See LearningTask."""
        return [ScissorsPixelsWorld(FIXED_START if fixed_start else NOMINAL) for _ in range(count)]

    def demonstrate(self, seeds: Sequence[int]) -> list[Recording]:
        """See LearningTask: the episodes of `ScissorsState`, seen by the cameras."""
        world = ScissorsPixelsWorld(NOMINAL)
        operator = ScissorsOperator(self.specification)
        recordings = []
        for seed in seeds:
            recording = Recording(seed, [world.reset(seed)])
            recording.keep(world.look())
            operator.reset(seed)
            while not recording.over:
                recording.add(world.step(operator.act(world.environment.sight())))
                recording.keep(world.look())
            recordings.append(recording)
        return recordings
