"""The fork: a point that has to pass an obstacle, left or right. The mean of both ways is fatal.

Positions in metres; an action is a velocity, in units of one step a tick. Demonstrators choose either side
with equal chance, whatever the start, and some of them cut the corner or stop beside the goal.
"""

from collections.abc import Sequence

import numpy as np

from learning.closed_loop import Recording, Tick
from learning.robotless_task import robotless_task
from soft_flow_contract.task_specification import TaskSpecification

STEP = 0.12  # m a tick at 1
START, GOAL = np.array([-0.75, 0.0]), np.array([0.75, 0.0])
START_SPREAD, GOAL_RADIUS, OBSTACLE_RADIUS = 0.05, 0.10, 0.45  # m
CLEARANCE, CLEARANCE_DEVIATION = 0.18, 0.06  # m, of careful demonstrators
CUT_CORNER, MISJUDGED_GOAL = 0.15, 0.15  # how often
TREMOR = 0.08  # deviation of actions

FORK = robotless_task(
    "fork",
    [{"name": "position", "unit": "m", "low": -2.0, "high": 2.0, "components": ["x", "y"]}],
    ("velocity_x", "velocity_y"),
    chunk=(8, 4),
    max_steps=40,
    success="reached",
    limits={
        "workspace_low": [-2.0, -2.0, 0.0],
        "workspace_high": [2.0, 2.0, 1.0],
        "max_translation": STEP,
        "max_rotation": 0.1,
    },
)


class ForkWorld:
    """A point, an obstacle and a goal, see `World`."""

    def __init__(self, max_steps: int) -> None:
        self._max_steps = max_steps
        self.position, self._ticks = START, 0

    def reset(self, seed: int) -> np.ndarray:
        """See World."""
        random = np.random.default_rng((seed, 0))
        self.position, self._ticks = START + random.uniform(-START_SPREAD, START_SPREAD, 2), 0
        return self._observe(np.zeros(2))

    def step(self, action: np.ndarray) -> Tick:
        """See World."""
        executed = np.clip(action, -1.0, 1.0).astype(np.float32)
        before = self.position
        self.position = before + STEP * executed
        self._ticks += 1
        collided = bool(np.linalg.norm(_nearest_to_origin(before, self.position)) < OBSTACLE_RADIUS)
        reached = not collided and bool(np.linalg.norm(self.position - GOAL) < GOAL_RADIUS)
        return Tick(
            self._observe(executed),
            executed,
            float(reached),
            {"reached": reached},
            terminal=collided or reached,
            truncated=not (collided or reached) and self._ticks >= self._max_steps,
        )

    def _observe(self, executed: np.ndarray) -> np.ndarray:
        return np.concatenate([self.position, executed]).astype(np.float32)


def _nearest_to_origin(start: np.ndarray, end: np.ndarray) -> np.ndarray:
    """The point of a segment that is nearest to the obstacle's centre, the origin."""
    along = end - start
    length = float(along @ along)
    share = 0.0 if length == 0 else float(np.clip(-(start @ along) / length, 0.0, 1.0))
    return start + share * along


class ForkDemonstrator:
    """Goes round one side, from way-point to way-point."""

    def __init__(self, seed: int) -> None:
        self._random = np.random.default_rng((seed, 1))
        side = self._random.choice([-1.0, 1.0])
        clearance = self._random.normal(CLEARANCE, CLEARANCE_DEVIATION)
        if self._random.random() < CUT_CORNER:
            clearance = -self._random.uniform(0.02, 0.12)
        goal = GOAL.copy()
        if self._random.random() < MISJUDGED_GOAL:
            goal = goal + self._random.choice([-1.0, 1.0]) * np.array([0.0, 0.2])
        height = side * (OBSTACLE_RADIUS + clearance)
        self._way = [np.array([-0.3, height]), np.array([0.3, height]), goal]

    def act(self, position: np.ndarray) -> np.ndarray:
        """The velocity towards the next way-point, at most one step long."""
        if len(self._way) > 1 and np.linalg.norm(self._way[0] - position) < STEP:
            self._way.pop(0)
        towards = (self._way[0] - position) / STEP
        towards = towards / max(1.0, float(np.linalg.norm(towards)))
        return np.clip(towards + self._random.normal(0.0, TREMOR, 2), -1.0, 1.0)


class Fork:
    """See `LearningTask`."""

    name = "fork"
    slots = 500  # a world is only a few numbers: all episodes of an evaluation share the policy's passes

    def __init__(self) -> None:
        self.specification = TaskSpecification.from_mapping(FORK, "fork")

    def worlds(self, count: int, fixed_start: bool) -> Sequence[ForkWorld]:
        """See LearningTask; there is no fixed start.

        Raises:
            ValueError: a fixed start is asked for.
        """
        if fixed_start:
            raise ValueError("the fork has no fixed start; set fixed_starts to 0")
        return [ForkWorld(self.specification.episode.max_steps) for _ in range(count)]

    def demonstrate(self, seeds: Sequence[int]) -> list[Recording]:
        """See LearningTask."""
        world = ForkWorld(self.specification.episode.max_steps)
        recordings = []
        for seed in seeds:
            recording, demonstrator = Recording(seed, [world.reset(seed)]), ForkDemonstrator(seed)
            while not recording.over:
                recording.add(world.step(demonstrator.act(world.position)))
            recordings.append(recording)
        return recordings
