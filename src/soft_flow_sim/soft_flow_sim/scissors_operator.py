"""A scripted operator of the scissors task: sees the true state at every tick, answers with an action.

It works like a person at a teleoperation rig: a sequence of smooth motions, each aimed from what is seen when
it begins, with habits and misjudgements that its OperatorStyle holds.
"""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.spatial.transform import Rotation

from soft_flow_contract.action_space import ActionSpace, RobotTarget
from soft_flow_contract.pose import Pose
from soft_flow_contract.task_specification import TaskSpecification
from soft_flow_sim.hand_poses import FLANGE_DOWN, GRASP_HAND, GRIP_IN_PALM, OPEN_HAND, PALM_IN_FLANGE
from soft_flow_sim.minimum_jerk import MinimumJerkMotion, ticks_needed
from soft_flow_sim.operator_style import OperatorStyle, draw_style
from soft_flow_sim.orca_hand_model import HAND_JOINT_NAMES
from soft_flow_sim.scissors_model import BLADE_OFFSET, GRIP_OFFSET, REST_HEIGHT

# The share of the limits that the operator uses: what is clamped would not be what it meant.
_SPEED_SHARE = 0.85
_GRIP_IN_FLANGE = PALM_IN_FLANGE.position + PALM_IN_FLANGE.matrix @ GRIP_IN_PALM
_SQUEEZE_MCP, _SQUEEZE_PIP = 0.25, 0.50
_CUT_DISTANCE = 0.11
_STRETCHED_INDEX = {"index_mcp": 0.10, "index_pip": 0.12}
_TREMOR = 0.0006  # m, standard deviation
_TREMOR_MEMORY = 0.85  # of a tick's tremor in the next one


def _joints(*parts: str) -> NDArray[np.bool_]:
    return np.array([any(part in name for part in parts) for name in HAND_JOINT_NAMES])


_THUMB = _joints("thumb")
_MCP, _PIP = _joints("_mcp") & ~_THUMB, _joints("_pip")
_INDEX = _joints("index")


def _turn(yaw: float) -> NDArray[np.float64]:
    return Rotation.from_euler("z", yaw).as_matrix()


@dataclass(frozen=True)
class Sight:
    """What the operator sees at a tick."""

    measured: RobotTarget
    target: RobotTarget
    simulation: Mapping[str, float]

    def point(self, name: str) -> NDArray[np.float64]:
        """A named point of the privileged state, shape (3,), metres in the base frame."""
        return np.array([self.simulation[f"{name}_{axis}"] for axis in "xyz"])


@dataclass(frozen=True)
class _Step:
    """One motion of the plan: where to, in how many seconds at least, and which joints start late."""

    name: str
    seconds: float
    goal: Callable[[Sight], RobotTarget]
    thumb_delay: float = 0.0


class ScissorsOperator:
    """Turns what it sees into contract-space actions, one a tick; silent (None) when it is done."""

    def __init__(self, specification: TaskSpecification, misjudges: bool = True) -> None:
        """Prepares for a task.

        Args:
            specification: action space, limits and rate.
            misjudges: False for an operator that makes no mistakes.
        """
        self._space = ActionSpace(specification)
        self._limits = specification.limits
        self._dt = specification.dt
        self._misjudges = misjudges
        self.reset(0)

    def reset(self, seed: int) -> None:
        """Begins the episode of a seed."""
        self.style: OperatorStyle = draw_style(seed, self._misjudges)
        self._random = np.random.default_rng([seed, 0x7E3])
        self._tremor = np.zeros(3)
        self._plan: Iterator[_Step] = iter(self._steps())
        self._motion: MinimumJerkMotion | None = None
        self._tick = 0
        self.phase = "start"

    def act(self, sight: Sight) -> NDArray[np.float64]:
        """The action for this tick.

        Args:
            sight: what is seen now.

        Returns:
            Contract-space action, shape (23,); after the last motion it holds.
        """
        if self._motion is None or self._tick >= self._motion.ticks:
            step = next(self._plan, None)
            if step is not None:
                self._begin(step, sight)
            elif self.phase != "done":
                self.phase = "done"
        if self.phase == "done" or self._motion is None:
            return self._space.hold(sight.target.hand)
        self._tick += 1
        wanted = self._motion.at(self._tick)
        self._tremor = _TREMOR_MEMORY * self._tremor + self._random.normal(0.0, _TREMOR, 3)
        flange = Pose(wanted.flange_in_base.position + self._tremor, wanted.flange_in_base.quaternion)
        action = self._space.between(sight.target, RobotTarget(flange, wanted.hand))
        return np.clip(action, -1.0, 1.0)

    def _begin(self, step: _Step, sight: Sight) -> None:
        goal = step.goal(sight)
        share = _SPEED_SHARE
        ticks = ticks_needed(
            sight.target,
            goal,
            share * self._limits.max_translation,
            share * self._limits.max_rotation,
            share * self._limits.max_hand_step,
        )
        ticks = max(ticks, round(step.seconds * self.style.tempo / self._dt))
        delay = np.where(_THUMB, step.thumb_delay, 0.0)
        self._motion = MinimumJerkMotion(sight.target, goal, ticks, delay)
        self._tick = 0
        self.phase = step.name

    def _steps(self) -> Iterator[_Step]:
        style = self.style
        late = 0.5 if style.fingers == "thumb_last" else 0.0
        yield _Step("reach", 1.2, lambda sight: self._beside(sight, style.approach_height))
        if style.approach == "above":
            yield _Step("descend", 0.8, lambda sight: self._beside(sight, 0.0))
        yield _Step("slide", 0.6 if style.approach == "above" else 0.8, self._at_grip)
        yield _Step("close", 0.8, lambda sight: RobotTarget(sight.target.flange_in_base, self._grasp()), late)
        yield _Step("lift", 0.9, self._lifted)
        yield _Step("carry", 1.7, lambda sight: self._at_strand(sight, _CUT_DISTANCE, with_error=False))
        yield _Step("aim", 0.3, lambda sight: self._at_strand(sight, _CUT_DISTANCE, with_error=True))
        yield _Step("insert", 1.0, lambda sight: self._at_strand(sight, 0.0, with_error=True))
        yield _Step("squeeze", 0.7, lambda sight: RobotTarget(sight.target.flange_in_base, self._squeeze()))
        yield _Step("hold", 0.3, lambda sight: sight.target)

    def _grasp(self) -> NDArray[np.float64]:
        hand = GRASP_HAND.copy()
        if self.style.fingers == "index_out":
            for name, angle in _STRETCHED_INDEX.items():
                hand[HAND_JOINT_NAMES.index(name)] = angle
        return hand

    def _squeeze(self) -> NDArray[np.float64]:
        pressing = ~_INDEX if self.style.fingers == "index_out" else np.ones_like(_INDEX)
        return self._grasp() + pressing * (_MCP * _SQUEEZE_MCP + _PIP * _SQUEEZE_PIP)

    def _grip_target(self, sight: Sight, offset: NDArray[np.float64]) -> Pose:
        """Flange pose that puts the palm's grip on the scissors' grip, displaced in the scissors' frame."""
        yaw = sight.simulation["scissors_yaw"]
        pivot = sight.point("scissors")
        grip = pivot + _turn(yaw) @ (np.array([GRIP_OFFSET, 0.0, 0.0]) + self.style.grip_error + offset)
        # The pivot's true height jitters with contact: the resting height is what an operator would see.
        grip[2] = REST_HEIGHT + self.style.grip_error[2] + offset[2]
        rotation = _turn(yaw + self.style.grip_yaw) @ FLANGE_DOWN
        return Pose.from_matrix(grip - rotation @ _GRIP_IN_FLANGE, rotation)

    def _beside(self, sight: Sight, height: float) -> RobotTarget:
        standoff = np.array([0.0, -self.style.standoff, height])
        return RobotTarget(self._grip_target(sight, standoff), OPEN_HAND)

    def _at_grip(self, sight: Sight) -> RobotTarget:
        return RobotTarget(self._grip_target(sight, np.zeros(3)), OPEN_HAND)

    def _lifted(self, sight: Sight) -> RobotTarget:
        up = np.array([0.0, 0.0, self.style.lift_height])
        return RobotTarget(sight.target.flange_in_base.moved(up, np.zeros(3)), sight.target.hand)

    def _at_strand(self, sight: Sight, distance: float, with_error: bool) -> RobotTarget:
        """Flange pose that puts the blades behind the strand or around it, as they really lie in the hand."""
        style = self.style
        ahead = np.array([np.cos(style.cut_yaw), np.sin(style.cut_yaw), 0.0])
        across = np.array([-ahead[1], ahead[0], 0.0])
        along_error, across_error = style.cut_error if with_error else np.zeros(2)
        blade_goal = sight.point("tape") * [1.0, 1.0, 0.0] + [0.0, 0.0, style.cut_height]
        blade_goal += ahead * (along_error - distance) + across * across_error
        held = bool(sight.simulation["assist_engaged"]) or sight.simulation["grip_z"] > REST_HEIGHT + 0.03
        flange = sight.measured.flange_in_base
        if held:
            yaw, blade = sight.simulation["scissors_yaw"], sight.point("blade")
        else:
            # An empty hand moves as if it held them: its owner has not noticed.
            empty = flange.matrix @ FLANGE_DOWN.T
            yaw = float(np.arctan2(empty[1, 0], empty[0, 0]))
            reach = np.array([BLADE_OFFSET - GRIP_OFFSET, 0.0, 0.0])
            blade = flange.position + flange.matrix @ _GRIP_IN_FLANGE + _turn(yaw) @ reach
        turn = _turn(style.cut_yaw - yaw)
        position = blade_goal + turn @ (flange.position - blade)
        # Keep the flange level: what the grasp tilted is straightened on the way.
        heading = flange.matrix @ FLANGE_DOWN.T
        level = _turn(float(np.arctan2(heading[1, 0], heading[0, 0]))) @ FLANGE_DOWN
        return RobotTarget(Pose.from_matrix(position, turn @ level), self._grasp())
