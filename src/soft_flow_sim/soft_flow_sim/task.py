"""What a simulated task offers to whatever runs it: the simulator node, Gymnasium, a benchmark."""

from collections.abc import Mapping
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from soft_flow_sim.arm_and_hand import RobotState

Array = NDArray[np.float64]


class TickOutcome(Protocol):
    """The oracle's judgement of a tick; every stage flag of the specification is an attribute, too."""

    @property
    def reward(self) -> float:
        """Reward of the tick's action."""

    @property
    def terminal(self) -> bool:
        """The task ended; nothing is bootstrapped from here."""

    @property
    def truncated(self) -> bool:
        """The time limit was reached."""

    @property
    def success(self) -> bool:
        """The stage that counts was reached."""

    @property
    def valid(self) -> bool:
        """False when the world diverged: the episode is worthless."""

    @property
    def reason(self) -> str:
        """Why it ended or is not valid, else empty."""


class SimulatedTask(Protocol):
    """A world with a robot and a task in it. Not thread-safe; always render in the same thread."""

    def reset(self, seed: int, grasp_assist: bool | None = None) -> None:
        """Put the world at the start of the episode that belongs to a seed."""

    def state(self) -> RobotState:
        """What the robot's own sensors measure now; call it once a tick, as each call draws its noise."""

    def apply_command(self, flange_position: Array, flange_quaternion: Array, hand_target: Array) -> None:
        """From now on move to these targets: flange in base frame (m; x y z w) and hand joints (rad)."""

    def advance(self, seconds: float) -> None:
        """Simulate on with the last command."""

    def count_tick(self) -> TickOutcome:
        """Judge the tick that has just ended; call it once a tick."""

    def render(self, camera_name: str) -> NDArray[np.uint8]:
        """Image (height, width, 3), RGB, of one of the specification's cameras."""

    def privileged_state(self) -> Mapping[str, float]:
        """Named numbers of the world that no sensor measures."""
