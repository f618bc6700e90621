"""Weights and chunks as messages."""

import array

import numpy as np
from rclpy.serialization import deserialize_message
from std_msgs.msg import Header

from soft_flow_contract.message_conversion import header, to_duration, to_nanoseconds
from soft_flow_msgs.msg import ActionChunk, PolicyWeights
from soft_flow_policy.served_policy import PlannedChunk
from soft_flow_policy.weights import WeightsError, WeightsRecord


def to_weights_message(record: WeightsRecord) -> PolicyWeights:
    """Weights to message; the header's stamp is when they were sent."""
    message = PolicyWeights(header=header(record.published_ns), run_id=record.run_id, version=record.version)
    message.parent_version = record.parent_version
    message.specification_hash, message.sha256 = record.specification_hash, record.sha256
    # rclpy would check a list or bytes element by element.
    message.data = array.array("B", record.data)
    return message


def from_weights_message(message: PolicyWeights) -> WeightsRecord:
    """Message to weights, which are not checked yet (see `unpack_weights`)."""
    return WeightsRecord(
        run_id=message.run_id,
        parent_version=message.parent_version,
        version=message.version,
        specification_hash=message.specification_hash,
        sha256=message.sha256,
        data=bytes(message.data),
        published_ns=to_nanoseconds(message.header.stamp),
    )


def weights_from_bytes(data: bytes) -> WeightsRecord:
    """A soft_flow_msgs/PolicyWeights as a raw subscription gets it (CDR) to weights, not checked yet.

    Raises:
        WeightsError: the bytes are no such message.
    """
    try:
        return from_weights_message(deserialize_message(data, PolicyWeights))
    except Exception as error:  # the error's type is private to rclpy's extension module
        raise WeightsError(f"{len(data)} bytes that are not a PolicyWeights message: {error}") from error


def to_chunk_message(
    chunk: PlannedChunk, observation: Header, version: int, temperature: float, epoch: int, number: int
) -> ActionChunk:
    """A planned chunk to message, clipped.

    Args:
        chunk: of the policy.
        observation: header of the observation that it answers.
        version: of the weights that planned it.
        temperature: of the sampling.
        epoch: of the arbiter, in which it was planned.
        number: of the chunk in its epoch.
    """
    message = ActionChunk(header=observation, chunk_id=number, policy_version=version, epoch=epoch)
    message.horizon, message.action_dimension = chunk.actions.shape
    clipped = np.clip(chunk.actions, -1.0, 1.0)
    message.actions = array.array("f", clipped.ravel())
    message.clipped = bool(np.any(clipped != chunk.actions))
    message.log_prob = chunk.log_prob
    message.temperature = temperature
    message.value = chunk.value
    message.inference_time = to_duration(int(chunk.inference_time * 1e9))
    return message
