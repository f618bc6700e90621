"""The scissors task as a Gymnasium environment: world, phase, limits and layout as in the ROS graph."""

import os
from pathlib import Path
from typing import Any

import gymnasium
import numpy as np
from numpy.typing import NDArray

from soft_flow_contract.action_space import RobotTarget
from soft_flow_contract.limits import ActionLimiter
from soft_flow_contract.pose import Pose
from soft_flow_contract.task_specification import TaskSpecification
from soft_flow_sim.arm_and_hand import RobotState
from soft_flow_sim.domain_parameters import NOMINAL, DomainParameters
from soft_flow_sim.scissors_operator import Sight
from soft_flow_sim.scissors_task import ScissorsTask
from soft_flow_sim.simulated_cell import SimulatedCell

_TASK_FILE = Path("config") / "tasks" / "scissors.yaml"
_LARGEST_SEED = 2**31 - 1
Observation = dict[str, Any]


def find_task_file() -> Path:
    """The installed task file of the scissors, else the one of the source tree.

    Raises:
        FileNotFoundError: neither is there.
    """
    prefixes = [
        Path(prefix) for prefix in os.environ.get("AMENT_PREFIX_PATH", "").split(os.pathsep) if prefix
    ]
    installed = [prefix / "share" / "soft_flow_bringup" / _TASK_FILE for prefix in prefixes]
    in_source = [parent / _TASK_FILE for parent in Path(__file__).resolve().parents]
    for candidate in (*installed, *in_source):
        if candidate.is_file():
            return candidate
    raise FileNotFoundError(
        f"{_TASK_FILE} is in no prefix of AMENT_PREFIX_PATH and not above {__file__}; "
        "source the workspace or pass specification=TaskSpecification.load(...)"
    )


class ScissorsEnvironment(gymnasium.Env[Observation, NDArray[np.float32]]):
    """``SoftFlow/Scissors-v0``: retrieve the scissors and cut the tape.

    Actions are contract space [-1, 1]^23. Observations are a dictionary of ``proprioception`` (float32, in
    the order and units of the specification, clipped to its ranges) and one uint8 image for each camera.
    ``info`` holds the stage flags, ``success``, ``valid``, ``reason`` and the executed action.
    """

    metadata: dict[str, Any] = {"render_modes": ["rgb_array"], "render_fps": 20}

    def __init__(
        self,
        specification: TaskSpecification | None = None,
        domain: DomainParameters = NOMINAL,
        grasp_assist: bool = True,
        images: bool = True,
        render_mode: str | None = None,
    ) -> None:
        """Builds the world.

        Args:
            specification: the task; None for the workspace's own.
            domain: physical and visual parameters.
            grasp_assist: whether the assist works.
            images: False leaves the images out of observations, for speed.
            render_mode: ``rgb_array`` or None.

        Raises:
            ValueError: an unknown render mode.
        """
        if render_mode not in (None, *self.metadata["render_modes"]):
            raise ValueError(f"render_mode should be 'rgb_array' or None, got {render_mode!r}")
        self.render_mode = render_mode
        self.specification = specification or TaskSpecification.load(find_task_file())
        self.task = ScissorsTask(self.specification, domain, grasp_assist, render=images or bool(render_mode))
        self._cell = SimulatedCell(self.task, self.specification)
        self._assist = grasp_assist
        self._limiter = ActionLimiter.from_specification(self.specification)
        self._cameras = self.specification.observation.cameras if images else ()
        self._episodes = 0
        size = self.specification.action_dimension
        self.action_space = gymnasium.spaces.Box(-1.0, 1.0, (size,), np.float32)
        self.observation_space = gymnasium.spaces.Dict(self._observation_spaces())
        self._last_action = np.zeros(size)

    def _observation_spaces(self) -> dict[str, gymnasium.spaces.Space[Any]]:
        fields = self.specification.observation.proprioception
        count = [len(self.specification.components(field)) for field in fields]
        low = np.repeat([field.low for field in fields], count).astype(np.float32)
        high = np.repeat([field.high for field in fields], count).astype(np.float32)
        self._proprioception_space = gymnasium.spaces.Box(low, high, dtype=np.float32)
        spaces: dict[str, gymnasium.spaces.Space[Any]] = {"proprioception": self._proprioception_space}
        for camera in self._cameras:
            shape = (camera.height, camera.width, 3)
            spaces[camera.name] = gymnasium.spaces.Box(0, 255, shape, np.uint8)
        return spaces

    def reset(
        self, *, seed: int | None = None, options: dict[str, Any] | None = None
    ) -> tuple[Observation, dict[str, Any]]:
        """Begins an episode.

        Args:
            seed: also the seed of the task's episode; None draws one from the environment's own generator.
            options: ``grasp_assist`` may override the assist for this episode.

        Returns:
            The first observation and ``{"seed": the episode's seed}``.
        """
        super().reset(seed=seed)
        episode_seed = int(self.np_random.integers(_LARGEST_SEED)) if seed is None else seed
        self._episodes += 1
        assist = bool((options or {}).get("grasp_assist", self._assist))
        self._cell.reset(episode_seed, f"episode-{self._episodes}", assist, self._cell.stamp_ns)
        self._state = self.task.state()
        self._target = self._measured(self._state)
        self._last_action = self._limiter.space.hold(self._state.hand_position)
        return self._observe(), {"seed": episode_seed}

    def step(self, action: NDArray[np.float32]) -> tuple[Observation, float, bool, bool, dict[str, Any]]:
        """Acts for one tick.

        Args:
            action: contract space, shape (23,).

        Returns:
            Observation, reward, terminated, truncated, info. A world that diverged ends as truncated with a
            ``reason`` and ``valid`` False.

        Raises:
            RuntimeError: the episode is over or was not begun.
            ActionError: the action has a wrong shape or is not finite.
        """
        if not self._cell.running:
            raise RuntimeError("no episode is running; call reset() first")
        safe = self._limiter.apply(self._target, action, self._measured(self._state).flange_in_base)
        self._target, self._last_action = safe.target, safe.executed
        outcome = self._cell.finish_tick(safe.target)
        if outcome is None:
            raise RuntimeError("the cell ended an episode without an outcome; call reset()")
        self._state = self.task.state()
        info = {**outcome.flags, "success": outcome.success, "valid": outcome.valid, "reason": outcome.reason}
        info["executed_action"] = safe.executed
        truncated = outcome.truncated or not outcome.valid
        return self._observe(), outcome.reward, outcome.terminal, truncated, info

    @staticmethod
    def _measured(state: RobotState) -> RobotTarget:
        flange = Pose.from_matrix(state.flange_position, state.flange_rotation)
        return RobotTarget(flange, state.hand_position)

    def _observe(self) -> Observation:
        state, target = self._state, self._target
        values = {
            "arm_joint_position": state.arm_position,
            "arm_joint_velocity": state.arm_velocity,
            "flange_position": state.flange_position,
            "flange_rotation": self._measured(state).flange_in_base.rotation_6d,
            "hand_joint_position": state.hand_position,
            "arm_target_position": target.flange_in_base.position,
            "arm_target_rotation": target.flange_in_base.rotation_6d,
            "hand_target": target.hand,
            "last_action": self._last_action,
        }
        proprioception = self.specification.assemble_proprioception(values)
        space = self._proprioception_space
        observation: Observation = {"proprioception": np.clip(proprioception, space.low, space.high)}
        for camera in self._cameras:
            observation[camera.name] = self.task.render(camera.name)
        return observation

    def sight(self) -> Sight:
        """What a scripted operator sees now."""
        return Sight(self._measured(self._state), self._target, self.task.privileged_state())

    def render(self) -> NDArray[np.uint8] | None:  # type: ignore[override]
        """The external camera, shape (480, 640, 3), or None without a render mode."""
        return self.task.render_view("external", 640, 480) if self.render_mode else None

    def close(self) -> None:
        """Frees the graphics contexts."""
        self.task.close()
