"""Packets of Dynamixel protocol 2.0, and their way out of a stream that may be damaged.

A packet is FF FF FD 00, id, length (2 bytes), body, checksum (2 bytes); the length counts body and checksum.
The body is an instruction and its parameters, and FD follows every FF FF FD in it ("stuffing"), so that the
header appears nowhere else. Source: Robotis e-manual, "Protocol 2.0".
"""

import struct
from collections.abc import Iterable
from dataclasses import dataclass
from enum import IntEnum

from soft_flow_sim.servo_bus.crc16 import crc16

HEADER = b"\xff\xff\xfd\x00"
BROADCAST_ID = 0xFE
ALERT = 0x80  # of a status: the servo has latched a hardware error
LONGEST = 1024  # bytes; a longer packet is no packet
_OVERHEAD = 7  # header, id, length
_SHORTEST_LENGTH = 3
_STATUS = 0x55
_MARK, _STUFFED = b"\xff\xff\xfd", b"\xff\xff\xfd\xfd"


class Instruction(IntEnum):
    """What a client can ask for."""

    PING = 0x01
    READ = 0x02
    WRITE = 0x03
    REG_WRITE = 0x04
    ACTION = 0x05
    FACTORY_RESET = 0x06
    REBOOT = 0x08
    CLEAR = 0x10
    STATUS = _STATUS
    SYNC_READ = 0x82
    SYNC_WRITE = 0x83
    FAST_SYNC_READ = 0x8A
    BULK_READ = 0x92
    BULK_WRITE = 0x93
    FAST_BULK_READ = 0x9A


class StatusError(IntEnum):
    """Why a servo did not do what it was asked for."""

    NONE = 0
    RESULT_FAIL = 1
    INSTRUCTION = 2
    CRC = 3
    DATA_RANGE = 4
    DATA_LENGTH = 5
    DATA_LIMIT = 6
    ACCESS = 7


@dataclass(frozen=True)
class Packet:
    """A packet as it was received.

    Attributes:
        servo_id: 0 to 252, or BROADCAST_ID.
        instruction: first byte of the body.
        parameters: the rest of it, without stuffing.
        intact: whether the checksum is right.
    """

    servo_id: int
    instruction: int
    parameters: bytes
    intact: bool = True


def stuff(body: bytes) -> bytes:
    """Put FD behind every FF FF FD."""
    return body.replace(_MARK, _STUFFED)


def unstuff(body: bytes) -> bytes:
    """Undo `stuff`."""
    return body.replace(_STUFFED, _MARK)


def frame(servo_id: int, instruction: int, parameters: bytes = b"") -> bytes:
    """The bytes of a packet."""
    body = stuff(bytes([instruction]) + parameters)
    content = HEADER + struct.pack("<BH", servo_id, len(body) + 2) + body
    return content + struct.pack("<H", crc16(content))


def status(servo_id: int, error: int, data: bytes = b"") -> bytes:
    """The bytes of a servo's answer; `error` is a StatusError, and ALERT."""
    return frame(servo_id, _STATUS, bytes([error]) + data)


def fast_status(parts: Iterable[tuple[int, int, bytes]]) -> bytes:
    """The bytes of the one answer of many servos to a fast read.

    Every servo adds error, id, data and the checksum of all that came before. There is no stuffing: the
    client finds the parts by counting.

    Args:
        parts: id, error and data of each servo.
    """
    parts = list(parts)
    length = 1 + sum(4 + len(data) for _, _, data in parts)
    answer = HEADER + struct.pack("<BHB", BROADCAST_ID, length, _STATUS)
    crc = crc16(answer)
    for servo_id, error, data in parts:
        part = bytes([error, servo_id]) + data
        crc = crc16(part, crc)
        checksum = struct.pack("<H", crc)
        answer += part + checksum
        crc = crc16(checksum, crc)
    return answer


class PacketParser:
    """Finds the packets in a stream.

    Whatever stands before an intact packet, it is found as soon as its last byte is there: a header that does
    not lead to an intact packet is only bytes. (Its length may be damage, so nothing is skipped on its word.)
    """

    def __init__(self) -> None:
        self._buffer = bytearray()

    @property
    def waiting(self) -> bool:
        """Whether a packet has begun."""
        return self._buffer.startswith(HEADER)

    def feed(self, data: bytes) -> list[Packet]:
        """Take bytes of the stream; the packets that they complete."""
        self._buffer += data
        packets: list[Packet] = []
        search, begun = 0, -1  # where to look next; where the first packet began that is not complete
        while (at := self._buffer.find(HEADER, search)) >= 0:
            packet, end = self._packet_at(at)
            search = end if packet is not None and packet.intact else at + 1
            if end > len(self._buffer):
                begun = at if begun < 0 else begun
            elif packet is not None and packet.intact:
                packets.append(packet)
                begun = -1
            elif packet is not None and begun < 0:
                packets.append(packet)
        keep = begun if begun >= 0 else max(search, len(self._buffer) - len(HEADER) + 1)
        del self._buffer[:keep]
        return packets

    def give_up(self) -> list[Packet]:
        """Take it that the packet that has begun will not end; the packets behind its header."""
        del self._buffer[:1]
        return self.feed(b"")

    def _packet_at(self, at: int) -> tuple[Packet | None, int]:
        """The packet whose header stands here, and its end; None if it is not complete or not a packet."""
        if at + _OVERHEAD > len(self._buffer):
            return None, len(self._buffer) + 1
        servo_id, length = struct.unpack_from("<BH", self._buffer, at + len(HEADER))
        end = at + _OVERHEAD + length
        if not _SHORTEST_LENGTH <= length <= LONGEST - _OVERHEAD:
            return None, at
        if end > len(self._buffer):
            return None, end
        content = bytes(self._buffer[at:end])
        body = unstuff(content[_OVERHEAD:-2])
        intact = crc16(content[:-2]) == int.from_bytes(content[-2:], "little")
        return Packet(servo_id, body[0], body[1:], intact), end
