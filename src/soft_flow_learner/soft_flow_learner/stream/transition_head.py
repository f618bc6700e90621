"""Episode, step and stamp of a serialized transition, without deserializing its images."""

import struct
from dataclasses import dataclass

from soft_flow_learner.errors import BagError

_ENCAPSULATION = 4  # bytes before the CDR payload: representation (an odd one is little endian) and options
_ALIGNMENT = 4  # of a number; strings end anywhere
NANOSECONDS = 1_000_000_000


@dataclass(frozen=True)
class TransitionHead:
    """What a soft_flow_msgs/Transition begins with.

    Attributes:
        stamp_ns: the tick, in nanoseconds.
        episode_id: UUID.
        step: number within the episode.
    """

    stamp_ns: int
    episode_id: str
    step: int


def transition_head(data: bytes) -> TransitionHead:
    """Read the head of a serialized transition (CDR): header (stamp, frame), episode_id, step.

    Raises:
        BagError: the bytes are no transition.
    """
    try:
        order = "<" if data[1] & 1 else ">"
        payload = memoryview(data)[_ENCAPSULATION:]
        seconds, nanoseconds = struct.unpack_from(f"{order}iI", payload)
        _, end = _text(payload, 8, order)
        episode_id, end = _text(payload, end, order)
        (step,) = struct.unpack_from(f"{order}I", payload, end)
    except (struct.error, IndexError, UnicodeDecodeError) as error:
        raise BagError(f"{len(data)} bytes that are not a Transition message: {error}") from error
    return TransitionHead(seconds * NANOSECONDS + nanoseconds, episode_id, step)


def _text(payload: memoryview, start: int, order: str) -> tuple[str, int]:
    """A string and where the number after it begins."""
    (length,) = struct.unpack_from(f"{order}I", payload, start)
    end = start + 4 + length
    if length == 0 or end > len(payload):
        raise IndexError(f"a text of {length} bytes at {start}")
    return bytes(payload[start + 4 : end - 1]).decode(), end + -end % _ALIGNMENT
