"""Sees the world of another process: its clock, its reports, and what its cameras would show."""

from typing import Any

import mujoco
import numpy as np
from numpy.typing import NDArray

from soft_flow_sim.scissors_task import ScissorsTask
from soft_flow_sim.shared_world import SharedWorld


class WorldMirror:
    """A copy of the task whose robot and things stand as in the world; use it in one thread only."""

    def __init__(self, task: ScissorsTask, shared: SharedWorld) -> None:
        """`task` is made with `driven=True, render=True` for the world's specification and domain."""
        task.reset(0)
        self._task, self._shared = task, shared

    @property
    def time_ns(self) -> int:
        """Simulated time of the last state."""
        return int(self._shared.read("state")["time_ns"])

    def report(self) -> dict[str, Any]:
        """What the world says of its last tick."""
        return self._shared.read_report()

    def look(self) -> int:
        """Take over the world's state; its simulated time in nanoseconds."""
        state, data = self._shared.read("state"), self._task.data
        data.qpos[:] = state["position"]
        data.mocap_pos[:], data.mocap_quat[:] = state["mocap"][:, :3], state["mocap"][:, 3:]
        mujoco.mj_kinematics(self._task.model, data)
        mujoco.mj_camlight(self._task.model, data)
        return int(state["time_ns"])

    def render(self, camera: str) -> NDArray[np.uint8]:
        """What a camera of the specification showed at the last `look`: RGB (height, width, 3)."""
        return self._task.render(camera)
