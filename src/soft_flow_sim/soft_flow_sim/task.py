"""The interface between a simulated task and whatever runs it: the simulator node, Gymnasium, a benchmark."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from soft_flow_contract.pose import Pose

Array = NDArray[np.float64]


@dataclass(frozen=True)
class RobotState:
    """What the robot's own sensors measure.

    Attributes:
        arm_position: (7,) rad.
        arm_velocity: (7,) rad/s.
        arm_effort: (7,) Nm.
        flange_in_base: measured flange pose.
        hand_position: (H,) rad, in the order of the specification.
    """

    arm_position: Array
    arm_velocity: Array
    arm_effort: Array
    flange_in_base: Pose
    hand_position: Array


@dataclass(frozen=True)
class TaskResult:
    """What the oracle says of the last action.

    Attributes:
        reward: of that action.
        flags: stage name -> reached so far.
        terminal: the task ended (success or failure); nothing is bootstrapped from here.
        success: the stage that counts was reached.
        valid: false when the world diverged; the episode is worthless then.
        reason: why it ended or is not valid, else empty.
    """

    reward: float = 0.0
    flags: Mapping[str, bool] = field(default_factory=dict)
    terminal: bool = False
    success: bool = False
    valid: bool = True
    reason: str = ""


class SimulatedTask(Protocol):
    """A world with a robot and a task in it. Not thread-safe; rendering binds it to the thread that renders first."""

    def reset(self, seed: int, grasp_assist: bool | None = None) -> None:
        """Start an episode; everything random in it is a function of `seed`.

        Args:
            seed: not negative.
            grasp_assist: of this episode; None takes what the task was made with.
        """
        ...

    def state(self) -> RobotState:
        """What the sensors measure now."""
        ...

    def apply_command(self, flange_in_base: Pose, hand: Array) -> None:
        """From now on move to these targets: the flange's pose and the hand's joints (rad)."""
        ...

    def advance(self, duration: float) -> None:
        """Simulate `duration` seconds with the last command."""
        ...

    def render(self, camera: str) -> NDArray[np.uint8]:
        """Image (height, width, 3), RGB, of one of the specification's cameras."""
        ...

    def outcome(self) -> TaskResult:
        """Judge the tick that was simulated since the last call (or since the reset)."""
        ...

    def privileged_state(self) -> Mapping[str, float]:
        """Named numbers of the world that no sensor measures, for scripted operators and evaluation."""
        ...
