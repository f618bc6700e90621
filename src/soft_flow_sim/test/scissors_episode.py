"""Runs episodes of the scissors task without ROS, as the graph would: phase, limits and all."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

import numpy as np

from soft_flow_contract.action_space import RobotTarget
from soft_flow_contract.limits import ActionLimiter
from soft_flow_contract.pose import Pose
from soft_flow_sim.scissors_operator import ScissorsOperator, Sight
from soft_flow_sim.scissors_task import Outcome, ScissorsTask


@dataclass
class Episode:
    outcome: Outcome
    actions: list[np.ndarray] = field(default_factory=list)
    states: list[dict[str, float]] = field(default_factory=list)
    clamped: int = 0


def measured(task: ScissorsTask) -> RobotTarget:
    state = task.state()
    return RobotTarget(Pose.from_matrix(state.flange_position, state.flange_rotation), state.hand_position)


def run_episode(
    task: ScissorsTask,
    seed: int,
    operator: ScissorsOperator | None = None,
    actions: Sequence[np.ndarray] = (),
    assist: bool = True,
    until: Callable[[ScissorsTask], bool] = lambda task: False,
) -> Episode:
    """An episode by an operator, or one that replays actions and ends with them."""
    limiter = ActionLimiter.from_specification(task.specification)
    dt, phase = task.specification.dt, task.specification.timing.command_phase
    task.reset(seed, assist)
    if operator is not None:
        operator.reset(seed)
    episode = Episode(task.outcome())
    target = now = measured(task)
    while not episode.outcome.finished and not until(task):
        if operator is None and len(episode.actions) == len(actions):
            break
        truth = task.privileged_state()
        action = operator.act(Sight(now, target, truth)) if operator else actions[len(episode.actions)]
        safe = limiter.apply(target, action, now.flange_in_base)
        task.advance(phase)
        target = safe.target
        task.apply_command(target.flange_in_base.position, target.flange_in_base.quaternion, target.hand)
        task.advance(dt - phase)
        episode.outcome = task.count_tick()
        now = measured(task)
        episode.actions.append(safe.executed)
        episode.states.append(truth)
        episode.clamped += safe.clamped
    return episode
