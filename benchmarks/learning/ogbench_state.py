"""OGBench's cube-single and scene, each with one task and a sparse reward, as learning experiments."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from learning.closed_loop import Recording
from learning.ogbench_operator import Habits, Operator, next_cube_move, next_scene_move
from learning.ogbench_world import SUCCESS, CubeEnvironment, Environment, OgbenchWorld, SceneEnvironment
from learning.robotless_task import robotless_task
from soft_flow_contract.task_specification import TaskSpecification


def field(name: str, components: str, unit: str = "1", bound: float = 10.0) -> dict[str, Any]:
    """A field of the observation within +- `bound`; `components` are words."""
    return {"name": name, "unit": unit, "low": -bound, "high": bound, "components": components.split()}


# As OGBench scales them: lengths in 10 cm from (0.425, 0, 0) m, the gripper from 0, open, to 3, closed.
ROBOT = [
    field("arm_joint_position", "pan lift elbow wrist_1 wrist_2 wrist_3", "rad"),
    field("arm_joint_velocity", "pan lift elbow wrist_1 wrist_2 wrist_3", "rad/s", 50.0),
    field("effector_position", "x y z", "0.1 m"),
    field("effector_yaw", "cos sin"),
    field("gripper_opening", "closed"),
    field("gripper_contact", "force", "50 N"),
]
CUBE = [
    field("cube_position", "x y z", "0.1 m"),
    field("cube_rotation", "w x y z"),
    field("cube_yaw", "cos sin"),
]
SCENE = [
    field("drawer_button", "locked unlocked pressed velocity", bound=500.0),
    field("window_button", "locked unlocked pressed velocity", bound=500.0),
    field("drawer", "position velocity", bound=50.0),
    field("window", "position velocity", bound=50.0),
]
ACTIONS = ("effector_x", "effector_y", "effector_z", "yaw", "gripper")  # all relative to what is measured


def state_specification(name: str, fields: Sequence[dict[str, Any]], max_steps: int) -> TaskSpecification:
    """The contract of an environment whose state has these fields."""
    limits = {
        "workspace_low": [0.25, -0.35, 0.02],
        "workspace_high": [0.6, 0.35, 0.35],
        "max_translation": 0.05,
        "max_rotation": 0.3,
    }
    data = robotless_task(name, fields, ACTIONS, (10, 5), max_steps, SUCCESS, limits)
    return TaskSpecification.from_mapping(data, name)


@dataclass(frozen=True)
class OgbenchTask:
    """See `LearningTask`.

    Attributes:
        name: of the task.
        specification: its contract.
        environment: makes an environment.
        next_move: what its operator does next.
        habits: how its operator acts.
        slots: one; a step takes longer than the policy, and an environment seconds to make.
    """

    name: str
    specification: TaskSpecification
    environment: Callable[[], Environment]
    next_move: Callable[..., Any]
    habits: Habits
    slots: int = 1

    def worlds(self, count: int, fixed_start: bool) -> Sequence[OgbenchWorld]:
        """See LearningTask; there is no fixed start.

        Raises:
            ValueError: a fixed start is asked for.
        """
        if fixed_start:
            raise ValueError(f"{self.name} has no fixed start; set fixed_starts to 0")
        max_steps = self.specification.episode.max_steps
        return [OgbenchWorld(self.environment(), max_steps) for _ in range(count)]

    def demonstrate(self, seeds: Sequence[int]) -> list[Recording]:
        """See LearningTask."""
        (world,) = self.worlds(1, False)
        operator = Operator(world.environment, self.habits, self.next_move)
        recordings = []
        for seed in seeds:
            recording = Recording(seed, [world.reset(seed)])
            operator.reset(seed)
            while not recording.over:
                recording.add(world.step(operator.act(world.info)))
            recordings.append(recording)
        return recordings


def cube_single() -> OgbenchTask:
    """Put a cube 15 cm further away."""
    name = "ogbench_cube_single"
    specification = state_specification(name, [*ROBOT, *CUBE], max_steps=200)
    return OgbenchTask(name, specification, CubeEnvironment, next_cube_move, Habits(0.1, 0.65))


def scene() -> OgbenchTask:
    """Unlock and close a drawer and a window, and lock both again."""
    name = "ogbench_scene"
    specification = state_specification(name, [*ROBOT, *CUBE, *SCENE], max_steps=750)
    return OgbenchTask(name, specification, SceneEnvironment, next_scene_move, Habits(0.1, 0.35))
