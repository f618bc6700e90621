"""The scissors task with the pose of the scissors observed instead of images."""

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np

from learning.closed_loop import Recording, Tick
from soft_flow_contract.robot_state import measured_state
from soft_flow_contract.task_specification import TaskSpecification
from soft_flow_sim.domain_parameters import NOMINAL, SHIFTED, DomainParameters
from soft_flow_sim.scissors_environment import ScissorsEnvironment, find_task_file
from soft_flow_sim.scissors_operator import ScissorsOperator

POSE_FIELDS = (  # what a tracker of the scissors would tell
    {"name": "scissors_pivot", "unit": "m", "low": -1.2, "high": 1.4, "components": ["x", "y", "z"]},
    {"name": "scissors_direction", "unit": "1", "low": -1.0, "high": 1.0, "components": ["cos", "sin"]},
    {"name": "grip_in_flange", "unit": "m", "low": -1.5, "high": 1.5, "components": ["x", "y", "z"]},
)


def state_specification(images: TaskSpecification) -> TaskSpecification:
    """The task without cameras, the pose of the scissors added to proprioception."""
    data = images.model_dump(mode="json")
    data["task"] = f"{images.task}_state"
    data["observation"]["cameras"] = []
    data["observation"]["proprioception"] += [dict(field) for field in POSE_FIELDS]
    return TaskSpecification.from_mapping(data, "scissors_state")


class ScissorsStateWorld:
    """The simulated cell, see `World`."""

    def __init__(self, domain: DomainParameters) -> None:
        self.environment = ScissorsEnvironment(domain=domain, images=False)
        self.stages = self.environment.specification.episode.flags

    def reset(self, seed: int) -> np.ndarray:
        """See World."""
        observation, _ = self.environment.reset(seed=seed)
        return self._observe(observation)

    def step(self, action: np.ndarray) -> Tick:
        """See World."""
        observation, reward, terminal, truncated, info = self.environment.step(action)
        return Tick(
            self._observe(observation),
            np.asarray(info["executed_action"], dtype=np.float32),
            float(reward),
            {name: bool(info[name]) for name in self.stages},
            terminal,
            truncated,
            bool(info["valid"]),
        )

    def _observe(self, observation: dict[str, Any]) -> np.ndarray:
        robot = observation["proprioception"]
        truth = self.environment.task.privileged_state()
        flange = measured_state(self.environment.specification, robot).flange_in_base
        pivot, grip = (np.array([truth[f"{name}_{axis}"] for axis in "xyz"]) for name in ("scissors", "grip"))
        yaw = truth["scissors_yaw"]
        grip_in_flange = flange.matrix.T @ (grip - flange.position)
        parts = (robot, pivot, [np.cos(yaw), np.sin(yaw)], grip_in_flange)
        return np.concatenate(parts).astype(np.float32)


class ScissorsState:
    """See `LearningTask`."""

    name = "scissors_state"
    slots = 8
    domain = NOMINAL  # in which the policy acts; demonstrations are always of the nominal one

    def __init__(self) -> None:
        self.specification = state_specification(TaskSpecification.load(find_task_file()))

    def worlds(self, count: int, fixed_start: bool) -> Sequence[ScissorsStateWorld]:
        """See LearningTask."""
        domain = replace(self.domain, start_spread=0.0) if fixed_start else self.domain
        return [ScissorsStateWorld(domain) for _ in range(count)]

    def demonstrate(self, seeds: Sequence[int]) -> list[Recording]:
        """See LearningTask: the scripted operator, which misjudges grip or cut in four of ten episodes."""
        world = ScissorsStateWorld(NOMINAL)
        operator = ScissorsOperator(world.environment.specification)
        recordings = []
        for seed in seeds:
            recording = Recording(seed, [world.reset(seed)])
            operator.reset(seed)
            while not recording.over:
                recording.add(world.step(operator.act(world.environment.sight())))
            recordings.append(recording)
        return recordings


class ScissorsShifted(ScissorsState):
    """Demonstrated in the nominal world, acted and learned online in the shifted one, as on a real robot."""

    name = "scissors_shifted"
    domain = SHIFTED
