"""The control table of a servo: which items it has, and the bytes that they hold.

Source: Robotis e-manual, control tables of XC330-T288-T and XC430-T240BB-T. What a client would rely on and
the simulation does not do is left out, and answers with an access error: bus watchdog, indirect addresses,
backup.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from enum import IntEnum

from soft_flow_sim.servo_bus.packet import StatusError

EEPROM_END = 64  # items below keep their value without power, and are locked while torque is on


class Register(IntEnum):
    """Address of an item."""

    MODEL_NUMBER = 0
    MODEL_INFORMATION = 2
    FIRMWARE_VERSION = 6
    ID = 7
    BAUD_RATE = 8
    RETURN_DELAY_TIME = 9
    DRIVE_MODE = 10
    OPERATING_MODE = 11
    SECONDARY_ID = 12
    PROTOCOL_TYPE = 13
    HOMING_OFFSET = 20
    MOVING_THRESHOLD = 24
    TEMPERATURE_LIMIT = 31
    MAX_VOLTAGE_LIMIT = 32
    MIN_VOLTAGE_LIMIT = 34
    PWM_LIMIT = 36
    CURRENT_LIMIT = 38
    VELOCITY_LIMIT = 44
    MAX_POSITION_LIMIT = 48
    MIN_POSITION_LIMIT = 52
    STARTUP_CONFIGURATION = 60
    PWM_SLOPE = 62
    SHUTDOWN = 63
    TORQUE_ENABLE = 64
    LED = 65
    STATUS_RETURN_LEVEL = 68
    REGISTERED_INSTRUCTION = 69
    HARDWARE_ERROR_STATUS = 70
    VELOCITY_I_GAIN = 76
    VELOCITY_P_GAIN = 78
    POSITION_D_GAIN = 80
    POSITION_I_GAIN = 82
    POSITION_P_GAIN = 84
    FEEDFORWARD_2ND_GAIN = 88
    FEEDFORWARD_1ST_GAIN = 90
    GOAL_PWM = 100
    GOAL_CURRENT = 102
    GOAL_VELOCITY = 104
    PROFILE_ACCELERATION = 108
    PROFILE_VELOCITY = 112
    GOAL_POSITION = 116
    REALTIME_TICK = 120
    MOVING = 122
    MOVING_STATUS = 123
    PRESENT_PWM = 124
    PRESENT_CURRENT = 126  # present load of a model without a current sensor
    PRESENT_VELOCITY = 128
    PRESENT_POSITION = 132
    VELOCITY_TRAJECTORY = 136
    POSITION_TRAJECTORY = 140
    PRESENT_INPUT_VOLTAGE = 144
    PRESENT_TEMPERATURE = 146


class Refused(Exception):  # noqa: N818 - it is an answer on the wire, not an error of the program
    """A request that a servo answers with an error."""

    def __init__(self, error: StatusError) -> None:
        super().__init__(error.name)
        self.error = error


@dataclass(frozen=True)
class Item:
    """An item of a control table.

    Attributes:
        register: its address.
        size: bytes, 1, 2 or 4; little endian.
        writable: whether a client may write it.
        initial: factory value, of RAM also the value after a start.
        low: smallest value that may be written; negative ones make the item signed.
        high: largest.
    """

    register: Register
    size: int
    writable: bool = False
    initial: int = 0
    low: int = 0
    high: int = 0

    @property
    def signed(self) -> bool:
        """Whether its bytes are a two's complement."""
        return self.low < 0

    @property
    def in_eeprom(self) -> bool:
        """Whether it survives a restart."""
        return self.register < EEPROM_END


class ControlTable:
    """The items of one servo and their bytes.

    Args:
        items: of the servo's model.
    """

    def __init__(self, items: tuple[Item, ...]) -> None:
        self._items = {int(item.register): item for item in items}
        self._places = {
            address: (slice(address, address + item.size), item.signed)
            for address, item in self._items.items()
        }
        self._extent = max(place.stop for place, _ in self._places.values())
        self._defined = {
            address for place, _ in self._places.values() for address in range(self._extent)[place]
        }
        self.bytes = bytearray(self._extent)
        for item in items:
            self[item.register] = item.initial

    def __contains__(self, register: int) -> bool:
        return register in self._items

    def __getitem__(self, register: int) -> int:
        place, signed = self._places[register]
        return int.from_bytes(self.bytes[place], "little", signed=signed)

    def __setitem__(self, register: int, value: int) -> None:
        place, signed = self._places[register]
        self.bytes[place] = value.to_bytes(place.stop - place.start, "little", signed=signed)

    def reset(self, register: int) -> None:
        """Give an item its initial value."""
        self[register] = self._items[register].initial

    def reset_ram(self) -> None:
        """Give the items of RAM their initial values."""
        for register, item in self._items.items():
            if not item.in_eeprom:
                self.reset(register)

    def read(self, address: int, length: int) -> bytes:
        """The bytes of a range; those between items are 0.

        Raises:
            Refused: there is no item in it, or it goes beyond the table.
        """
        if length < 1:
            raise Refused(StatusError.DATA_LENGTH)
        end = address + length
        nothing = address not in self._defined and self._defined.isdisjoint(range(address, end))
        if nothing or end > self._extent:
            raise Refused(StatusError.ACCESS)
        return bytes(self.bytes[address:end])

    def split(self, address: int, data: bytes) -> Iterator[tuple[Item, int]]:
        """The items that `data` at `address` would write, and their values.

        Raises:
            Refused: there is something else than whole items that may be written, or a value is out of range.
        """
        if not data:
            raise Refused(StatusError.DATA_LENGTH)
        while data:
            item = self._items.get(address)
            if item is None or not item.writable:
                raise Refused(StatusError.ACCESS)
            if len(data) < item.size:
                raise Refused(StatusError.DATA_LENGTH)
            value = int.from_bytes(data[: item.size], "little", signed=item.signed)
            if not item.low <= value <= item.high:
                raise Refused(StatusError.DATA_RANGE)
            yield item, value
            address, data = address + item.size, data[item.size :]
