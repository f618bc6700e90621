"""Messages of an episode: recorded observations are kept as bytes and copied into transitions unseen."""

import array
import struct

from rclpy.serialization import deserialize_message, serialize_message

from soft_flow_contract.message_conversion import NANOSECONDS, header, to_pose_message
from soft_flow_episode.command import Command
from soft_flow_episode.step_joiner import JoinedEpisode, Outcome
from soft_flow_msgs.msg import ExecutedAction, Observation, TaskOutcome, Transition

_ENCAPSULATION = 4  # bytes before the CDR payload: representation (an odd one is little endian) and options


def stamp_of(raw: bytes) -> int:
    """Stamp (ns) of a serialized message that begins with a header."""
    seconds, nanoseconds = struct.unpack_from("<iI" if raw[1] & 1 else ">iI", raw, _ENCAPSULATION)
    return seconds * NANOSECONDS + nanoseconds


def to_outcome(message: TaskOutcome) -> Outcome:
    """Message to outcome."""
    return Outcome(
        message.episode_id,
        float(message.reward),
        dict(zip(message.flag_names, message.flags, strict=True)),
        message.terminal,
        message.truncated,
        message.success,
        message.valid,
        message.reason,
    )


def without_padding(data: bytes, last_text: str) -> bytes:
    """Serialized message without the alignment bytes that rclpy may append; strict readers refuse those.

    Args:
        data: a message whose last field is a string.
        last_text: the value of that field.
    """
    text = last_text.encode() + b"\0"
    return data[: data.rindex(struct.pack("<I", len(text)) + text) + 4 + len(text)]


def to_transitions(episode_id: str, episode: JoinedEpisode, label: str) -> list[tuple[int, bytes]]:
    """Stamp (ns) and CDR of every step; the last one carries the final observation and no action (RLDS).

    Args:
        episode_id: UUID.
        episode: observations as CDR bytes, actions as messages.
        label: final outcome, written into every step.
    """
    transitions = []
    for step, raw in enumerate(episode.observations):
        last = step == len(episode)
        stamp_ns = episode.stamp_ns(step)
        outcome = episode.last if last else episode.outcomes[step]
        message = Transition(header=header(stamp_ns), episode_id=episode_id, step=step, outcome=label)
        message.observation = deserialize_message(raw, Observation)
        message.action = ExecutedAction(header=header(stamp_ns)) if last else episode.actions[step]
        message.reward = 0.0 if last else outcome.reward
        message.flag_names, message.flags = list(outcome.flags), list(outcome.flags.values())
        message.is_first, message.is_last = step == 0, last
        message.is_terminal = last and episode.terminated
        transitions.append((stamp_ns, without_padding(serialize_message(message), label)))
    return transitions


def to_executed_message(command: Command, latency_s: float) -> ExecutedAction:
    """A command as it was sent, `latency_s` seconds after its tick."""
    message = ExecutedAction(header=header(command.stamp_ns))
    if command.proposed is not None:
        message.proposed = array.array("f", command.proposed)
    message.executed = array.array("f", command.executed)
    message.arm_target = to_pose_message(command.target.flange_in_base)
    message.hand_target = array.array("d", command.target.hand)
    message.source, message.epoch = int(command.source), command.epoch
    message.chunk_id, message.chunk_step = command.chunk_id, command.chunk_step
    message.policy_version = command.policy_version
    message.clamped, message.held = command.clamped, command.held
    message.missed_deadline = command.missed
    message.latency = latency_s
    return message
