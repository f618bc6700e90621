"""Messages of the simulated cell, by whichever node it is published."""

import array
from collections.abc import Mapping

from soft_flow_contract.message_conversion import header
from soft_flow_msgs.msg import SimulationState, TaskOutcome
from soft_flow_sim.simulated_cell import CellOutcome


def to_outcome_message(outcome: CellOutcome) -> TaskOutcome:
    """The outcome of a tick."""
    message = TaskOutcome(header=header(outcome.stamp_ns), episode_id=outcome.episode_id)
    message.reward, message.reason = float(outcome.reward), outcome.reason
    message.flag_names, message.flags = list(outcome.flags), list(outcome.flags.values())
    message.terminal, message.truncated = outcome.terminal, outcome.truncated
    message.success, message.valid = outcome.success, outcome.valid
    return message


def to_state_message(
    stamp_ns: int, episode_id: str, seed: int, truth: Mapping[str, float]
) -> SimulationState:
    """The world's true state."""
    message = SimulationState(header=header(stamp_ns), episode_id=episode_id, seed=seed)
    message.names, message.values = list(truth), array.array("d", truth.values())
    return message
