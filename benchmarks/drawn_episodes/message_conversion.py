"""Observation and action to the bytes that an episode's bag holds."""

import array

import numpy as np
from rclpy.serialization import serialize_message

from soft_flow_msgs.msg import Observation, Transition


def to_transition_bytes(
    episode_id: str, step: int, observation: Observation, action: np.ndarray | None
) -> bytes:
    """A step of a successful episode as CDR; the last one has no action (A,)."""
    message = Transition(header=observation.header, episode_id=episode_id, step=step, outcome="success")
    message.observation = observation
    message.is_first, message.is_last, message.is_terminal = step == 0, action is None, action is None
    if action is not None:
        message.action.executed = array.array("f", action)
    return bytes(serialize_message(message))
