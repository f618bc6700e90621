"""Operators of OGBench's environments: its planning oracles, which sometimes do something else first.

OGBench's play data reach for random targets, of which only some happen to solve a task. The operators here
know the task, but at every move they may be distracted, and reach for a random target instead.
"""

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import numpy as np
from ogbench.manipspace.oracles.plan.button_plan import ButtonPlanOracle
from ogbench.manipspace.oracles.plan.cube_plan import CubePlanOracle
from ogbench.manipspace.oracles.plan.drawer_plan import DrawerPlanOracle
from ogbench.manipspace.oracles.plan.plan_oracle import PlanOracle
from ogbench.manipspace.oracles.plan.window_plan import WindowPlanOracle

from learning.ogbench_world import CubeEnvironment, Environment, SceneEnvironment

ORACLES: Mapping[str, type[PlanOracle]] = {
    "cube": CubePlanOracle,
    "button": ButtonPlanOracle,
    "drawer": DrawerPlanOracle,
    "window": WindowPlanOracle,
}
DRAWER_OPEN, WINDOW_OPEN, NEAR = -0.16, 0.2, 0.04  # m; OGBench counts what is as near as this as reached
Info = Mapping[str, Any]
Move = tuple[str, Mapping[str, Any]]  # name of an oracle, and what it is told beside the state of the world


@dataclass(frozen=True)
class Habits:
    """How an operator acts.

    Attributes:
        noise: deviation of its plans, as a part of the largest action; 0.1 in OGBench's data.
        distraction: how often a move has a random target instead of the right one.
    """

    noise: float
    distraction: float


@contextmanager
def global_draws(random: np.random.Generator) -> Iterator[None]:
    """Let NumPy's global generator, from which OGBench's oracles draw, follow from `random` meanwhile."""
    state = np.random.get_state()
    np.random.seed(int(random.integers(2**32)))
    try:
        yield
    finally:
        np.random.set_state(state)


class Operator:
    """Plans one move after the other and follows the plans, closed loop in position.

    `next_move` takes the environment, its info, a generator and whether the operator is distracted.
    """

    def __init__(
        self,
        environment: Environment,
        habits: Habits,
        next_move: Callable[[Any, Info, np.random.Generator, bool], Move],
    ) -> None:
        """Act in `environment`."""
        self._environment, self._habits, self._next_move = environment, habits, next_move
        self._oracles = {
            name: oracle(env=environment, noise=habits.noise) for name, oracle in ORACLES.items()
        }
        self._random = np.random.default_rng(0)
        self._oracle: PlanOracle | None = None

    def reset(self, seed: int) -> None:
        """Begin an episode; all chance follows from `seed`."""
        self._random, self._oracle = np.random.default_rng((seed, 1)), None

    def act(self, info: Info) -> np.ndarray:
        """The action (5,) for a state of the world."""
        if self._oracle is None or self._oracle.done:
            distracted = bool(self._random.random() < self._habits.distraction)
            name, told = self._next_move(self._environment, info, self._random, distracted)
            self._oracle = self._oracles[name]
            with global_draws(self._random):
                self._oracle.reset(None, {**info, **told})
        return np.clip(self._oracle.select_action(None, info), -1.0, 1.0)


def put_cube(target: np.ndarray, yaw: float) -> Move:
    """Put the cube at `target` (3,), m, turned by `yaw`, rad."""
    told = {"target_block": 0, "target_block_pos": target, "target_block_yaw": np.array([yaw])}
    return "cube", {f"privileged/{name}": value for name, value in told.items()}


def put_cube_anywhere(environment: Environment, random: np.random.Generator) -> Move:
    """Put the cube where OGBench's data would."""
    place = random.uniform(*environment._target_sampling_bounds)
    return put_cube(np.array([*place, 0.02]), random.uniform(0, 2 * np.pi))


def next_cube_move(
    environment: CubeEnvironment, info: Info, random: np.random.Generator, distracted: bool
) -> Move:
    """The cube to its goal."""
    if distracted:
        return put_cube_anywhere(environment, random)
    return put_cube(environment.cur_task_info["goal_xyzs"][0], 0.0)


def press(environment: SceneEnvironment, button: int) -> Move:
    """Press a button, which locks or unlocks the drawer (0) or the window (1)."""
    top = environment.data.site(f"btntop_{button}").xpos.copy()
    return "button", {"privileged/target_button_top_pos": top}


def slide(environment: SceneEnvironment, name: str, position: float) -> Move:
    """Move drawer or window to a position, m."""
    here = environment.data.site(f"{name}_handle_center").xpos.copy()
    further = position - environment.data.joint(f"{name}_slide").qpos[0]
    here += further * (np.array([0.0, -1.0, 0.0]) if name == "drawer" else np.array([1.0, 0.0, 0.0]))
    return name, {f"privileged/target_{name}_handle_pos": here}


def next_scene_move(
    environment: SceneEnvironment, info: Info, random: np.random.Generator, distracted: bool
) -> Move:
    """Close drawer and window, in either order, each unlocked before, then lock both."""
    goal = environment.cur_task_info["goal"]
    if distracted:
        return _any_scene_move(environment, info, random)
    if np.linalg.norm(info["privileged/block_0_pos"] - goal["block_xyzs"][0]) > NEAR:
        return put_cube(goal["block_xyzs"][0], 0.0)
    slides = [("drawer", 0, goal["drawer_pos"]), ("window", 1, goal["window_pos"])]
    undone = [part for part in slides if abs(info[f"privileged/{part[0]}_pos"][0] - part[2]) > NEAR]
    if undone:
        unlocked = [part for part in undone if info["button_states"][part[1]] == 1]
        name, button, position = (unlocked or undone)[random.integers(len(unlocked or undone))]
        return slide(environment, name, position) if unlocked else press(environment, button)
    wrong = np.flatnonzero(info["button_states"] != goal["button_states"])
    return press(environment, int(random.choice(wrong)))


def _any_scene_move(environment: SceneEnvironment, info: Info, random: np.random.Generator) -> Move:
    """What OGBench's data would do next, whatever the task."""
    kind = random.choice(["cube", "button", "drawer", "window"])
    if kind == "cube":
        return put_cube_anywhere(environment, random)
    if kind == "button":
        return press(environment, int(random.integers(2)))
    opened = DRAWER_OPEN if kind == "drawer" else WINDOW_OPEN
    is_open = abs(info[f"privileged/{kind}_pos"][0]) > abs(opened) / 2
    return slide(environment, str(kind), 0.0 if is_open else opened)
