"""The two servo models of an ORCA hand: fingers are XC330-T288-T, the wrist is an XC430-T240BB-T.

Source: Robotis e-manual, their control tables; orca_core names which motor is which.
"""

from dataclasses import dataclass
from enum import IntEnum

from soft_flow_sim.servo_bus.control_table import Item
from soft_flow_sim.servo_bus.control_table import Register as Reg

PULSES_PER_TURN = 4096
MULTI_TURN = 1_048_575  # pulses, 256 turns: end of the extended position
_INT16, _INT32 = 1 << 15, 1 << 31


class OperatingMode(IntEnum):
    """What a servo's goals mean."""

    CURRENT = 0
    VELOCITY = 1
    POSITION = 3
    EXTENDED_POSITION = 4
    CURRENT_BASED_POSITION = 5
    PWM = 16


@dataclass(frozen=True)
class ServoModel:
    """A model of servo.

    Attributes:
        name: as the maker's.
        items: its control table.
        modes: the operating modes that it has.
        full_load: what it reports as present current (mA) or load (0.1 %) at its largest torque.
    """

    name: str
    items: tuple[Item, ...]
    modes: frozenset[OperatingMode]
    full_load: int

    @property
    def controls_current(self) -> bool:
        """Whether it measures and limits its current."""
        return OperatingMode.CURRENT in self.modes


def _measured(register: Reg, size: int, signed: bool = False) -> Item:
    return Item(register, size, low=-1 if signed else 0)


def _eeprom(
    number: int, baud_rates: int, drive_modes: int, hottest: int, volts: tuple[int, int]
) -> list[Item]:
    lowest, highest = volts
    return [
        Item(Reg.MODEL_NUMBER, 2, initial=number),
        Item(Reg.MODEL_INFORMATION, 4),
        Item(Reg.FIRMWARE_VERSION, 1, initial=52),
        Item(Reg.ID, 1, True, 1, 0, 252),
        Item(Reg.BAUD_RATE, 1, True, 1, 0, baud_rates),
        Item(Reg.RETURN_DELAY_TIME, 1, True, 250, 0, 254),
        Item(Reg.DRIVE_MODE, 1, True, 0, 0, drive_modes),
        Item(Reg.OPERATING_MODE, 1, True, OperatingMode.POSITION, 0, 16),
        Item(Reg.SECONDARY_ID, 1, True, 255, 0, 255),
        Item(Reg.PROTOCOL_TYPE, 1, True, 2, 2, 2),
        Item(Reg.HOMING_OFFSET, 4, True, 0, -1_044_479, 1_044_479),
        Item(Reg.MOVING_THRESHOLD, 4, True, 10, 0, 1023),
        Item(Reg.TEMPERATURE_LIMIT, 1, True, hottest, 0, 100),
        Item(Reg.MAX_VOLTAGE_LIMIT, 2, True, highest, lowest, highest),
        Item(Reg.MIN_VOLTAGE_LIMIT, 2, True, lowest, lowest, highest),
        Item(Reg.PWM_LIMIT, 2, True, 885, 0, 885),
        Item(Reg.MAX_POSITION_LIMIT, 4, True, 4095, 0, 4095),
        Item(Reg.MIN_POSITION_LIMIT, 4, True, 0, 0, 4095),
        Item(Reg.STARTUP_CONFIGURATION, 1, True, 0, 0, 3),
        Item(Reg.SHUTDOWN, 1, True, 52, 0, 63),
    ]


def _ram(velocity_gains: tuple[int, int], position_p_gain: int) -> list[Item]:
    gains = {
        Reg.VELOCITY_I_GAIN: velocity_gains[0],
        Reg.VELOCITY_P_GAIN: velocity_gains[1],
        Reg.POSITION_D_GAIN: 0,
        Reg.POSITION_I_GAIN: 0,
        Reg.POSITION_P_GAIN: position_p_gain,
        Reg.FEEDFORWARD_2ND_GAIN: 0,
        Reg.FEEDFORWARD_1ST_GAIN: 0,
    }
    return [
        Item(Reg.TORQUE_ENABLE, 1, True, 0, 0, 1),
        Item(Reg.LED, 1, True, 0, 0, 1),
        Item(Reg.STATUS_RETURN_LEVEL, 1, True, 2, 0, 2),
        Item(Reg.REGISTERED_INSTRUCTION, 1),
        Item(Reg.HARDWARE_ERROR_STATUS, 1),
        *(Item(register, 2, True, initial, 0, 16_383) for register, initial in gains.items()),
        # The limits of the goals are items too: the servo compares with them.
        Item(Reg.GOAL_PWM, 2, True, 885, -_INT16, _INT16 - 1),
        Item(Reg.GOAL_VELOCITY, 4, True, 0, -_INT32, _INT32 - 1),
        Item(Reg.PROFILE_ACCELERATION, 4, True, 0, 0, 32_767),
        Item(Reg.PROFILE_VELOCITY, 4, True, 0, 0, 32_767),
        Item(Reg.GOAL_POSITION, 4, True, 0, -MULTI_TURN, MULTI_TURN),
        _measured(Reg.REALTIME_TICK, 2),
        _measured(Reg.MOVING, 1),
        _measured(Reg.MOVING_STATUS, 1),
        _measured(Reg.PRESENT_PWM, 2, signed=True),
        _measured(Reg.PRESENT_CURRENT, 2, signed=True),
        _measured(Reg.PRESENT_VELOCITY, 4, signed=True),
        _measured(Reg.PRESENT_POSITION, 4, signed=True),
        _measured(Reg.VELOCITY_TRAJECTORY, 4, signed=True),
        _measured(Reg.POSITION_TRAJECTORY, 4, signed=True),
        _measured(Reg.PRESENT_INPUT_VOLTAGE, 2),
        _measured(Reg.PRESENT_TEMPERATURE, 1),
    ]


_MODES = frozenset(OperatingMode)

XC330_T288 = ServoModel(
    "XC330-T288-T",
    (
        *_eeprom(1220, baud_rates=6, drive_modes=5, hottest=70, volts=(55, 140)),
        Item(Reg.CURRENT_LIMIT, 2, True, 910, 0, 910),
        Item(Reg.VELOCITY_LIMIT, 4, True, 320, 0, 2047),
        Item(Reg.PWM_SLOPE, 1, True, 255, 1, 255),
        *_ram(velocity_gains=(1200, 40), position_p_gain=900),
        Item(Reg.GOAL_CURRENT, 2, True, 910, -_INT16, _INT16 - 1),
    ),
    _MODES,
    full_load=910,
)
XC430_T240BB = ServoModel(
    "XC430-T240BB-T",
    (
        *_eeprom(1080, baud_rates=7, drive_modes=13, hottest=80, volts=(60, 160)),
        Item(Reg.VELOCITY_LIMIT, 4, True, 306, 0, 1023),
        *_ram(velocity_gains=(1920, 100), position_p_gain=700),
    ),
    _MODES - {OperatingMode.CURRENT, OperatingMode.CURRENT_BASED_POSITION},
    full_load=1000,
)
