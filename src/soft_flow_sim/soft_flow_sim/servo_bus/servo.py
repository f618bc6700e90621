"""One servo: its control table, and what reading, writing, restarting and overheating do to it."""

import struct
from collections.abc import Callable

from soft_flow_sim.servo_bus.control_table import ControlTable, Item, Refused
from soft_flow_sim.servo_bus.control_table import Register as Reg
from soft_flow_sim.servo_bus.packet import ALERT, StatusError
from soft_flow_sim.servo_bus.servo_drive import FULL_PWM, VELOCITY_UNIT, ServoDrive
from soft_flow_sim.servo_bus.servo_model import PULSES_PER_TURN, OperatingMode, ServoModel

REBOOT_TIME = 0.34  # s without an answer; measured on an XC330 by orca_core's authors
ROOM_TEMPERATURE = 34  # degrees Celsius, of a motor at rest
_VOLTAGE = 120  # 0.1 V
_OVERHEATING, _OVERLOAD = 0x04, 0x20  # hardware error status
_REVERSED = 0x01  # drive mode
_IN_POSITION = 20  # pulses
_ANSWERS_READS, _ANSWERS_ALL = 1, 2  # status return level
_MEASURED = struct.Struct("<HBBhhiiiiHB")  # items from REALTIME_TICK on
_FIRST_MEASURED = int(Reg.REALTIME_TICK)
# What a change of the operating mode puts back to its initial value, besides the goal position.
_OF_A_MODE = (
    Reg.VELOCITY_I_GAIN,
    Reg.VELOCITY_P_GAIN,
    Reg.POSITION_D_GAIN,
    Reg.POSITION_I_GAIN,
    Reg.POSITION_P_GAIN,
    Reg.FEEDFORWARD_2ND_GAIN,
    Reg.FEEDFORWARD_1ST_GAIN,
    Reg.GOAL_VELOCITY,
    Reg.PROFILE_ACCELERATION,
    Reg.PROFILE_VELOCITY,
)
_RETURN_DELAY = 10  # 2 us; orca_core programs 20 us when a hand is assembled, the factory 500


class Servo:
    """A servo as it stands on the bus of an assembled hand.

    Args:
        model: what it is.
        servo_id: its id.
        baud_rate: index of the bus speed in the maker's table.
        clock: steady time, s.

    Attributes:
        servo_id: what it answers to.
        answers_reads: whether it answers requests for its values.
        answers_all: whether it answers all requests.
        return_delay: s that it waits before it answers.
        temperature: degrees Celsius.
        drive: its motor.
    """

    def __init__(self, model: ServoModel, servo_id: int, baud_rate: int, clock: Callable[[], float]) -> None:
        self.model, self.table = model, ControlTable(model.items)
        self._clock = clock
        self.table[Reg.ID], self.table[Reg.BAUD_RATE] = servo_id, baud_rate
        self.table[Reg.RETURN_DELAY_TIME] = _RETURN_DELAY
        self.temperature = ROOM_TEMPERATURE
        self.drive = ServoDrive(model, self.table)
        self._answers_at = 0.0
        self._registered: tuple[int, bytes] | None = None
        self._position = 0  # of the motor, pulses
        self._velocity = self._load = 0.0
        self._turns = 0  # pulses of whole turns that it has forgotten in a restart
        self._start()

    def _start(self) -> None:
        self.table.reset_ram()
        self._turns = self._position // PULSES_PER_TURN * PULSES_PER_TURN
        self._registered = None
        self._reset_goals()

    def _reset_goals(self) -> None:
        self.table[Reg.GOAL_PWM] = self.table[Reg.PWM_LIMIT]
        if self.model.controls_current:
            self.table[Reg.GOAL_CURRENT] = self.table[Reg.CURRENT_LIMIT]
        self._hold()

    def _hold(self) -> None:
        self._configure()
        self.drive.hold(self._position)
        self.table[Reg.GOAL_POSITION] = self._shown(self._position)
        self._goal = self._position

    def _configure(self) -> None:
        """Take over what the control table says; due after every change of it."""
        table = self.table
        self.servo_id = table[Reg.ID]
        self.answers_reads = table[Reg.STATUS_RETURN_LEVEL] >= _ANSWERS_READS
        self.answers_all = table[Reg.STATUS_RETURN_LEVEL] >= _ANSWERS_ALL
        self.return_delay = table[Reg.RETURN_DELAY_TIME] * 2e-6
        self._sign = -1 if table[Reg.DRIVE_MODE] & _REVERSED else 1
        self._offset = table[Reg.HOMING_OFFSET]
        self._hottest = table[Reg.TEMPERATURE_LIMIT]
        self._slowest = table[Reg.MOVING_THRESHOLD]
        self._goal = self._meant(table[Reg.GOAL_POSITION])
        self._alert = ALERT if table[Reg.HARDWARE_ERROR_STATUS] else 0
        self.drive.configure()

    # Positions: those of the motor never jump; those of the table are turned and shifted as it says.

    def _shown(self, position: float) -> int:
        return round(self._sign * (position - self._turns)) + self._offset

    def _meant(self, shown: int) -> int:
        return self._sign * (shown - self._offset) + self._turns

    # Time

    @property
    def starting(self) -> bool:
        """Whether it is busy with its restart, deaf and mute."""
        return self._answers_at > 0 and self._clock() < self._answers_at

    def place(self, position: int) -> None:
        """Say where the motor is, before anything else; pulses."""
        self._position = position
        self._start()

    def observe(self, position: int, velocity: float, load: float, dt: float) -> None:
        """Let `dt` seconds pass, at the end of which the motor is as measured.

        Args:
            position: pulses.
            velocity: pulses/s.
            load: torque as a share of the motor's largest, -1 to 1.
            dt: s.
        """
        self._position, self._velocity = position, velocity
        if self.temperature > self._hottest:
            self._latch(_OVERHEATING)
        drive = self.drive
        drive.advance(self._goal, position, dt)
        # What gears hold without current is not the motor's load.
        self._load = max(-drive.share, min(drive.share, load)) if drive.enabled else 0.0

    def obey(self) -> None:
        """Pull as the control table says now, without time passing."""
        self.drive.advance(self._goal, self._position, 0.0)

    def _show(self) -> None:
        """Write what is measured into the control table."""
        profile, sign, position = self.drive.profile, self._sign, self._position
        speed = round(sign * self._velocity / VELOCITY_UNIT)
        arrived = abs(self._goal - position) <= _IN_POSITION
        _MEASURED.pack_into(
            self.table.bytes,
            _FIRST_MEASURED,
            int(self._clock() * 1000) & 0x7FFF,
            abs(speed) > self._slowest,
            arrived | (profile.velocity != 0) << 1,
            round(sign * FULL_PWM * self._load),
            round(sign * self.model.full_load * self._load),
            speed,
            self._shown(position),
            round(sign * profile.velocity / VELOCITY_UNIT),
            self._shown(profile.position),
            _VOLTAGE,
            self.temperature,
        )

    # Hardware errors

    def overload(self) -> None:
        """Latch an overload, as a motor does that has pulled too hard for too long."""
        self._latch(_OVERLOAD)

    def _latch(self, error: int) -> None:
        errors = self.table[Reg.HARDWARE_ERROR_STATUS]
        if errors & error:
            return
        self.table[Reg.HARDWARE_ERROR_STATUS] = errors | error
        if self._shut_down:
            self.table[Reg.TORQUE_ENABLE] = 0
        self._configure()

    @property
    def _shut_down(self) -> bool:
        return bool(self.table[Reg.HARDWARE_ERROR_STATUS] & self.table[Reg.SHUTDOWN])

    # Requests

    def error(self, error: StatusError = StatusError.NONE) -> int:
        """The error byte of an answer."""
        return error | self._alert

    def read(self, address: int, length: int) -> bytes:
        """The bytes of a range of the control table, as of the last `observe`.

        Raises:
            Refused: there is nothing to read.
        """
        self._show()
        return self.table.read(address, length)

    def identity(self) -> bytes:
        """What it answers to a ping."""
        return struct.pack("<HB", self.table[Reg.MODEL_NUMBER], self.table[Reg.FIRMWARE_VERSION])

    def write(self, address: int, data: bytes) -> None:
        """Write whole items: all, or none.

        Raises:
            Refused: an item is not there, is locked, or its value is not allowed.
        """
        changes = list(self.table.split(address, data))
        for item, value in changes:
            self._check(item, value)
        for item, value in changes:
            self._apply(item, value)

    def register(self, address: int, data: bytes) -> None:
        """Keep a write until `action`.

        Raises:
            Refused: as `write` would.
        """
        for item, value in self.table.split(address, data):
            self._check(item, value)
        self._registered = (address, data)
        self.table[Reg.REGISTERED_INSTRUCTION] = 1

    def action(self) -> None:
        """Write what was registered.

        Raises:
            Refused: nothing was.
        """
        if self._registered is None:
            raise Refused(StatusError.INSTRUCTION)
        registered, self._registered = self._registered, None
        self.table[Reg.REGISTERED_INSTRUCTION] = 0
        self.write(*registered)

    def reboot(self) -> None:
        """Restart: RAM and latched errors are cleared, torque is off, whole turns are forgotten."""
        self._start()
        self._answers_at = self._clock() + REBOOT_TIME

    def clear_turns(self) -> None:
        """Forget whole turns.

        Raises:
            Refused: the motor moves.
        """
        if abs(self._velocity) > self._slowest * VELOCITY_UNIT:
            raise Refused(StatusError.RESULT_FAIL)
        self._turns = self._position // PULSES_PER_TURN * PULSES_PER_TURN
        self._hold()

    def _check(self, item: Item, value: int) -> None:
        table = self.table
        if item.in_eeprom and self.drive.enabled:
            raise Refused(StatusError.ACCESS)
        match item.register:
            case Reg.OPERATING_MODE:
                if value not in self.model.modes:
                    raise Refused(StatusError.DATA_RANGE)
            case Reg.GOAL_PWM:
                self._check_limit(abs(value) <= table[Reg.PWM_LIMIT])
            case Reg.GOAL_CURRENT:
                self._check_limit(abs(value) <= table[Reg.CURRENT_LIMIT])
            case Reg.GOAL_VELOCITY:
                self._check_limit(abs(value) <= table[Reg.VELOCITY_LIMIT])
            case Reg.GOAL_POSITION if table[Reg.OPERATING_MODE] == OperatingMode.POSITION:
                self._check_limit(table[Reg.MIN_POSITION_LIMIT] <= value <= table[Reg.MAX_POSITION_LIMIT])

    def _check_limit(self, kept: bool) -> None:
        if not kept:
            raise Refused(StatusError.DATA_LIMIT)

    def _apply(self, item: Item, value: int) -> None:
        table, register = self.table, item.register
        if register == Reg.TORQUE_ENABLE:
            if value and self._shut_down:
                return  # it says yes and stays without torque until it is restarted
            if value and not table[Reg.TORQUE_ENABLE]:
                self._hold()
        table[register] = value
        if register == Reg.GOAL_POSITION:  # the one that is written all the time
            self._goal = self._meant(value)
            return
        self._configure()
        if register == Reg.OPERATING_MODE:
            for other in _OF_A_MODE:
                table.reset(other)
            self._reset_goals()
        elif register in (Reg.DRIVE_MODE, Reg.HOMING_OFFSET):
            self._hold()
