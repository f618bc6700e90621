"""A world of a few numbers with the interface of a simulated task."""

from dataclasses import dataclass

import numpy as np

from soft_flow_contract.task_specification import TaskSpecification
from soft_flow_sim.arm_and_hand import RobotState


@dataclass(frozen=True)
class TinyOutcome:
    reward: float = 0.0
    grasped: bool = False
    cut: bool = False
    terminal: bool = False
    truncated: bool = False
    valid: bool = True
    reason: str = ""

    @property
    def success(self) -> bool:
        return self.cut


class TinyWorld:
    """The flange is where it was last told to be; it cuts after `cut_at` ticks, breaks after `diverge_at`."""

    def __init__(
        self, specification: TaskSpecification, cut_at: int | None = None, diverge_at: int | None = None
    ) -> None:
        self.specification, self.cut_at, self.diverge_at = specification, cut_at, diverge_at
        self.log: list[tuple] = []
        self.reset(0)
        self.log.clear()

    def reset(self, seed: int, grasp_assist: bool | None = None) -> None:
        self.seed, self.ticks, self.time = seed, 0, 0.0
        self.flange = np.array([0.4, 0.01 * seed, 0.3])
        self.hand = np.zeros(17)
        self.log.append(("reset", seed, grasp_assist))

    def state(self) -> RobotState:
        return RobotState(np.zeros(7), np.zeros(7), np.zeros(7), self.flange, np.eye(3), self.hand)

    def apply_command(self, position: np.ndarray, quaternion: np.ndarray, hand: np.ndarray) -> None:
        self.flange, self.hand = position, hand
        self.log.append(("command", tuple(np.round(position, 6))))

    def advance(self, seconds: float) -> None:
        self.time += seconds
        self.log.append(("advance", round(seconds, 6)))

    def count_tick(self) -> TinyOutcome:
        self.ticks += 1
        if self.ticks == self.diverge_at:
            return TinyOutcome(valid=False, reason="the simulation diverged: a test wanted it")
        if self.ticks == self.cut_at:
            return TinyOutcome(1.0, True, True, True, reason="cut")
        return TinyOutcome(truncated=self.ticks >= self.specification.episode.max_steps)

    def render(self, camera_name: str) -> np.ndarray:
        return np.full((84, 84, 3), self.ticks % 256, np.uint8)

    def privileged_state(self) -> dict[str, float]:
        return {"time": self.time}
