"""OGBench's manipulation environments as worlds, their state observed, one task each.

An arm with a gripper, whose effector is moved relative to where it is, at 20 Hz (Park et al. 2024,
arXiv 2410.20092). The task is the environment's default one, and ends when OGBench counts it as solved.
"""

from collections.abc import Mapping
from typing import Any

import gymnasium
import numpy as np
from ogbench.manipspace.envs.cube_env import CubeEnv
from ogbench.manipspace.envs.scene_env import SceneEnv

from learning.closed_loop import Tick

TASK_NUMBER = 2  # of the environment's tasks: OGBench's default for a single task
SUCCESS = "success"
_OPTIONS = {
    "permute_blocks": False,
    "reward_task_id": TASK_NUMBER,
    "success_timing": "post",  # judged after an action, not before the next one
    "visualize_info": False,
}


class _SeededReset:
    """An environment all of whose chance follows from the seed of its reset.

    OGBench takes two random steps in a reset, with actions drawn from a space that it makes anew each time.
    """

    _actions: gymnasium.spaces.Box | None = None

    @property
    def action_space(self) -> gymnasium.spaces.Box:
        """(5,) in [-1, 1]."""
        if self._actions is None:
            self._actions = gymnasium.spaces.Box(-1.0, 1.0, (5,), np.float32)
        return self._actions

    def begin(self, seed: int) -> tuple[np.ndarray, dict[str, Any]]:
        """Reset to the start of `seed`."""
        self.action_space.seed(seed)
        return self.reset(seed=seed)  # type: ignore[attr-defined]


class CubeEnvironment(_SeededReset, CubeEnv):
    """A cube is to be put 15 cm further away."""

    def __init__(self) -> None:
        """One cube."""
        super().__init__(env_type="single", **_OPTIONS)


class SceneEnvironment(_SeededReset, SceneEnv):
    """Drawer and window stand open, each locked by a button: both are to be closed, and locked again."""

    def __init__(self) -> None:
        """Cube, drawer, window, two buttons."""
        super().__init__(env_type="scene", **_OPTIONS)


Environment = CubeEnvironment | SceneEnvironment


class OgbenchWorld:
    """An environment of OGBench, see `World`.

    Attributes:
        environment: what it stands on.
        info: all that OGBench tells about its state, for operators only.
    """

    def __init__(self, environment: Environment, max_steps: int) -> None:
        """An episode is truncated after `max_steps`."""
        self.environment, self._max_steps = environment, max_steps
        self.info: Mapping[str, Any] = {}
        self._ticks = 0

    def reset(self, seed: int) -> np.ndarray:
        """See World."""
        state, self.info = self.environment.begin(seed)
        self._ticks = 0
        return _observation(state, np.zeros(5))

    def step(self, action: np.ndarray) -> Tick:
        """See World."""
        executed = np.clip(action, -1.0, 1.0).astype(np.float32)
        state, _, _, _, self.info = self.environment.step(executed)
        self._ticks += 1
        solved = bool(self.info["success"])
        return Tick(
            _observation(state, executed),
            executed,
            float(solved),
            {SUCCESS: solved},
            terminal=solved,
            truncated=not solved and self._ticks >= self._max_steps,
            valid=bool(np.isfinite(state).all()),
        )


def _observation(state: np.ndarray, executed: np.ndarray) -> np.ndarray:
    return np.concatenate([state, executed]).astype(np.float32)
