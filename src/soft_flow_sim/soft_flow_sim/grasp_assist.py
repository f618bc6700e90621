"""The grasp assist: a weld of palm and scissors for a grasp that contact physics alone does not hold.

It depends on the world's state and on nothing else, so that any operator or policy triggers it in the same
way:

1. It engages at the moment in which the closing hand passes ``engage_closure``, if the scissors then lie in
   the hand within the tolerances; later it cannot catch up until the hand has been opened again.
2. It gives way when the hand opens, or when the weld carries more than ``break_force``.
3. While it holds, fingers that are commanded beyond the grasp press the handles: a torque on the hinge,
   bounded by the actuator's range. Whether the tape parts is decided by the blades' contact forces alone.
"""

from dataclasses import dataclass

import mujoco
import numpy as np

from soft_flow_sim.hand_poses import GRASP_MCP, GRASP_PIP, GRIP_IN_PALM
from soft_flow_sim.scissors_truth import ScissorsTruth
from soft_flow_sim.scissors_world import ASSIST_WELD, HAND_PREFIX, SQUEEZE_TORQUE

_FINGERS = ("index", "middle", "ring", "pinky")
_WELD_ROWS = 6


@dataclass(frozen=True)
class GraspAssistParameters:
    """When the assist engages, gives way and squeezes."""

    position_tolerance: float = 0.015  # m between the scissors' grip and its place in the palm
    tilt_tolerance: float = 0.25  # rad between the hinge axis and the palm's forearm axis
    yaw_tolerance: float = 0.21  # rad between the handles and the row of knuckles
    engage_closure: float = 0.5  # flexion of the three most closed fingers relative to the grasp
    release_closure: float = 0.3
    break_force: float = 60.0  # N
    squeeze_travel: float = 0.45  # rad of pip command beyond the grasp for a whole finger's press
    squeeze_fingers: float = 2.0  # whole fingers' presses that give the full torque


@dataclass(frozen=True)
class GripError:
    """How far the scissors are from where the hand should hold them."""

    position: float  # m
    tilt: float  # rad
    yaw: float  # rad, signed


class GraspAssist:
    """Applies the rules above to a compiled world."""

    def __init__(
        self, model: mujoco.MjModel, truth: ScissorsTruth, parameters: GraspAssistParameters
    ) -> None:
        """Finds bodies, joints and the weld by name; switch it on with ``reset``."""
        self._truth = truth
        self.parameters = parameters
        self._model = model
        self._palm, self._scissors = model.body(HAND_PREFIX + "wrist").id, truth.body
        self._weld = model.equality(ASSIST_WELD).id
        self._identity_weld = model.eq_data[self._weld].copy()
        self._squeeze = model.actuator("squeeze").id
        flexors = [[HAND_PREFIX + f"{finger}_{part}" for part in ("mcp", "pip")] for finger in _FINGERS]
        self._flexion_address = np.array([[model.joint(n).qposadr[0] for n in pair] for pair in flexors])
        self._pip_actuators = np.array([model.actuator(pair[1]).id for pair in flexors])
        self.enabled, self.engaged, self.broken, self._was_open = False, False, False, True

    def reset(self, data: mujoco.MjData, enabled: bool) -> None:
        """Lets go and forgets; ``enabled`` holds for the episode."""
        self.enabled, self.engaged, self.broken, self._was_open = enabled, False, False, True
        self._model.eq_data[self._weld] = self._identity_weld
        data.eq_active[self._weld] = 0
        data.ctrl[self._squeeze] = 0.0

    def closure(self, data: mujoco.MjData) -> float:
        """Flexion of the three most closed fingers relative to the grasp: 0 straight, 1 as in the grasp."""
        angles = data.qpos[self._flexion_address].tolist()
        flexion = sorted(mcp + pip for mcp, pip in angles)
        return sum(flexion[1:]) / (3 * (GRASP_MCP + GRASP_PIP))

    def grip_error(self, data: mujoco.MjData) -> GripError:
        """Measures where the scissors lie in the palm, taken midway between the blades."""
        palm = data.xmat[self._palm].reshape(3, 3)
        direction, axis = palm.T @ self._truth.direction, palm.T @ self._truth.hinge_axis
        grip = palm.T @ (self._truth.grip - data.xpos[self._palm])
        # In the palm's frame the blades should point along -x and the hinge axis along -z.
        yaw = float(np.arctan2(-direction[1], -direction[0]))
        tilt = float(np.arccos(np.clip(-axis[2], -1.0, 1.0)))
        return GripError(float(np.linalg.norm(grip - GRIP_IN_PALM)), tilt, yaw)

    def update(self, data: mujoco.MjData) -> None:
        """Applies the rules; call it every few physics steps."""
        if not self.enabled:
            return
        closure = self.closure(data)
        if self.engaged:
            self._hold(data, closure)
        elif self._was_open and closure >= self.parameters.engage_closure:
            self._was_open = False
            if self._within_tolerance(self.grip_error(data)):
                self._engage(data)
        if closure < self.parameters.release_closure:
            self._was_open = True

    def _within_tolerance(self, error: GripError) -> bool:
        limits = self.parameters
        return (
            error.position < limits.position_tolerance
            and error.tilt < limits.tilt_tolerance
            and abs(error.yaw) < limits.yaw_tolerance
        )

    def _engage(self, data: mujoco.MjData) -> None:
        palm = data.xmat[self._palm].reshape(3, 3)
        inverse, relative = np.zeros(4), np.zeros(4)
        mujoco.mju_negQuat(inverse, data.xquat[self._palm])
        mujoco.mju_mulQuat(relative, inverse, data.xquat[self._scissors])
        weld = self._model.eq_data[self._weld]
        weld[:3] = 0.0
        weld[3:6] = palm.T @ (data.xpos[self._scissors] - data.xpos[self._palm])
        weld[6:10] = relative
        data.eq_active[self._weld] = 1
        self.engaged = True

    def _hold(self, data: mujoco.MjData, closure: float) -> None:
        self.broken = self.weld_force(data) > self.parameters.break_force
        if self.broken or closure < self.parameters.release_closure:
            data.eq_active[self._weld] = 0
            data.ctrl[self._squeeze] = 0.0
            self.engaged = False
            return
        data.ctrl[self._squeeze] = SQUEEZE_TORQUE * self.squeeze(data)

    def squeeze(self, data: mujoco.MjData) -> float:
        """How hard the fingers are commanded to press the handles, 0 to 1."""
        travel = self.parameters.squeeze_travel
        presses = [(target - GRASP_PIP) / travel for target in data.ctrl[self._pip_actuators].tolist()]
        pressed = sum(min(max(press, 0.0), 1.0) for press in presses)
        return min(pressed / self.parameters.squeeze_fingers, 1.0)

    def weld_force(self, data: mujoco.MjData) -> float:
        """Force that the weld carries, newtons."""
        if data.ne == 0:
            return 0.0
        # Equality rows come first in the constraint list.
        rows = np.flatnonzero(data.efc_id[: data.ne] == self._weld)
        return float(np.linalg.norm(data.efc_force[rows[:3]])) if len(rows) == _WELD_ROWS else 0.0
