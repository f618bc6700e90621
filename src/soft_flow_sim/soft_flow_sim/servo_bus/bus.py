"""The bus: instructions go to the servos that they name, and their answers come back in order."""

import struct
from collections.abc import Callable, Iterator
from contextlib import suppress

from soft_flow_sim.servo_bus.control_table import Refused
from soft_flow_sim.servo_bus.hand_servos import HandServos
from soft_flow_sim.servo_bus.packet import BROADCAST_ID, Instruction, Packet, StatusError, fast_status, status
from soft_flow_sim.servo_bus.servo import Servo

_READS = frozenset(
    {
        Instruction.PING,
        Instruction.READ,
        Instruction.SYNC_READ,
        Instruction.FAST_SYNC_READ,
        Instruction.BULK_READ,
        Instruction.FAST_BULK_READ,
    }
)
_CLEAR_TURNS = b"\x01\x44\x58\x4c\x22"


class Bus:
    """Answers packets.

    Args:
        hand: the servos on it.

    Attributes:
        dropped: ids of servos whose answers are lost on the way; they hear and obey.
        delay: seconds that the servos waited before they answered the last packet.
    """

    def __init__(self, hand: HandServos) -> None:
        self._hand = hand
        self.dropped: set[int] = set()
        self.delay = 0.0
        self._of_many: dict[int, Callable[[bytes], bytes]] = {
            Instruction.SYNC_READ: self._sync_read,
            Instruction.FAST_SYNC_READ: self._fast_sync_read,
            Instruction.SYNC_WRITE: self._sync_write,
            Instruction.BULK_READ: self._bulk_read,
            Instruction.BULK_WRITE: self._bulk_write,
            Instruction.FAST_BULK_READ: self._fast_bulk_read,
        }
        self._of_one: dict[int, Callable[[Servo, bytes], bytes]] = {
            Instruction.PING: lambda servo, _: servo.identity(),
            Instruction.READ: lambda servo, parameters: servo.read(*_range(parameters)),
            Instruction.WRITE: _write,
            Instruction.REG_WRITE: _register,
            Instruction.ACTION: _action,
            Instruction.REBOOT: _reboot,
            Instruction.CLEAR: _clear,
            Instruction.FACTORY_RESET: _refuse,
        }

    def handle(self, packet: Packet) -> bytes:
        """Do what a packet says; the bytes of all answers."""
        self.delay = 0.0
        if packet.instruction == Instruction.STATUS:
            return b""
        self._hand.refresh()
        try:
            if packet.intact and packet.instruction in self._of_many:
                answer = self._of_many[packet.instruction](packet.parameters)
            else:
                answer = b"".join(self._single(servo, packet) for servo in self._addressed(packet.servo_id))
        except Refused:
            answer = b""  # a request to many that makes no sense is nobody's to answer
        if packet.instruction not in _READS:
            self._hand.obey()
        return answer

    def _addressed(self, servo_id: int) -> list[Servo]:
        servos = [servo for servo in self._hand.servos if not servo.starting]
        if servo_id == BROADCAST_ID:
            return sorted(servos, key=lambda servo: servo.servo_id)
        return [servo for servo in servos if servo.servo_id == servo_id]

    def _single(self, servo: Servo, packet: Packet) -> bytes:
        """Let one servo do something, and answer if that is to be answered."""
        instruction, broadcast = packet.instruction, packet.servo_id == BROADCAST_ID
        if broadcast and (instruction == Instruction.READ or not packet.intact):
            return b""
        servo_id, error, data = servo.servo_id, StatusError.NONE, b""
        action = self._of_one.get(instruction)
        try:
            if not packet.intact:
                raise Refused(StatusError.CRC)
            if action is None:
                raise Refused(StatusError.INSTRUCTION)
            data = action(servo, packet.parameters)
        except Refused as refused:
            error = refused.error
        if instruction == Instruction.PING:
            return self._answer(servo, servo_id, error, data)
        answers = servo.answers_reads if instruction == Instruction.READ else servo.answers_all
        if broadcast or not answers:
            return b""
        return self._answer(servo, servo_id, error, data)

    def _answer(self, servo: Servo, servo_id: int, error: StatusError, data: bytes) -> bytes:
        self.delay += servo.return_delay
        if servo_id in self.dropped:
            return b""
        return status(servo_id, servo.error(error), data)

    # Requests to many servos at once

    def _listening(self, ids: bytes) -> Iterator[tuple[int, Servo | None]]:
        """The servos of these ids that can answer a read; None where one cannot."""
        servos = {servo.servo_id: servo for servo in self._hand.servos}
        for servo_id in ids:
            servo = servos.get(servo_id)
            yield servo_id, None if servo is None or servo.starting or not servo.answers_reads else servo

    def _sync_read(self, parameters: bytes) -> bytes:
        address, length = _range(parameters[:4])
        return b"".join(
            self._read_answer(servo, address, length)
            for _, servo in self._listening(parameters[4:])
            if servo is not None
        )

    def _read_answer(self, servo: Servo, address: int, length: int) -> bytes:
        try:
            return self._answer(servo, servo.servo_id, StatusError.NONE, servo.read(address, length))
        except Refused as refused:
            return self._answer(servo, servo.servo_id, refused.error, b"")

    def _fast_sync_read(self, parameters: bytes) -> bytes:
        return self._fast_answer(dict.fromkeys(parameters[4:], _range(parameters[:4])))

    def _fast_bulk_read(self, parameters: bytes) -> bytes:
        return self._fast_answer(_ranges(parameters))

    def _fast_answer(self, requests: dict[int, tuple[int, int]]) -> bytes:
        """One packet of all; a servo that is missing spoils it, so then there is none."""
        parts = []
        for servo_id, servo in self._listening(bytes(requests)):
            if servo is None or servo_id in self.dropped:
                return b""
            parts.append((servo_id, servo.error(), servo.read(*requests[servo_id])))
            self.delay = max(self.delay, servo.return_delay)
        return fast_status(parts)

    def _sync_write(self, parameters: bytes) -> bytes:
        address, length = _range(parameters[:4])
        step, servos = length + 1, {servo.servo_id: servo for servo in self._hand.servos}
        for at in range(4, len(parameters) - length, step):
            _write_quietly(servos.get(parameters[at]), address, parameters[at + 1 : at + step])
        return b""

    def _bulk_read(self, parameters: bytes) -> bytes:
        requests = _ranges(parameters)
        return b"".join(
            self._read_answer(servo, *requests[servo_id])
            for servo_id, servo in self._listening(bytes(requests))
            if servo is not None
        )

    def _bulk_write(self, parameters: bytes) -> bytes:
        servos = {servo.servo_id: servo for servo in self._hand.servos}
        while len(parameters) >= 5:
            servo_id, address, length = struct.unpack_from("<BHH", parameters)
            _write_quietly(servos.get(servo_id), address, parameters[5 : 5 + length])
            parameters = parameters[5 + length :]
        return b""


def _write_quietly(servo: Servo | None, address: int, data: bytes) -> None:
    """Writes to many are not answered, so what is refused is only not done."""
    if servo is not None and not servo.starting:
        with suppress(Refused):
            servo.write(address, data)


def _range(parameters: bytes) -> tuple[int, int]:
    """Address and length of a read.

    Raises:
        Refused: that is something else.
    """
    if len(parameters) != 4:
        raise Refused(StatusError.DATA_LENGTH)
    address, length = struct.unpack("<HH", parameters)
    return address, length


def _ranges(parameters: bytes) -> dict[int, tuple[int, int]]:
    """Address and length by id, of a bulk read.

    Raises:
        Refused: that is something else.
    """
    if len(parameters) % 5:
        raise Refused(StatusError.DATA_LENGTH)
    return {
        servo_id: (address, length) for servo_id, address, length in struct.iter_unpack("<BHH", parameters)
    }


def _place(parameters: bytes) -> tuple[int, bytes]:
    """Address and data of a write."""
    if len(parameters) < 2:
        raise Refused(StatusError.DATA_LENGTH)
    return int.from_bytes(parameters[:2], "little"), parameters[2:]


def _write(servo: Servo, parameters: bytes) -> bytes:
    servo.write(*_place(parameters))
    return b""


def _register(servo: Servo, parameters: bytes) -> bytes:
    servo.register(*_place(parameters))
    return b""


def _action(servo: Servo, _: bytes) -> bytes:
    servo.action()
    return b""


def _reboot(servo: Servo, _: bytes) -> bytes:
    servo.reboot()
    return b""


def _clear(servo: Servo, parameters: bytes) -> bytes:
    if parameters != _CLEAR_TURNS:
        raise Refused(StatusError.DATA_RANGE)
    servo.clear_turns()
    return b""


def _refuse(servo: Servo, _: bytes) -> bytes:
    raise Refused(StatusError.RESULT_FAIL)
