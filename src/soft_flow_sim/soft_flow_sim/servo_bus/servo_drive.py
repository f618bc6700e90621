"""What a servo's motor does, given its control table: the goal that it pulls to, and how hard it may."""

from soft_flow_sim.servo_bus.control_table import ControlTable
from soft_flow_sim.servo_bus.control_table import Register as Reg
from soft_flow_sim.servo_bus.profile import Profile
from soft_flow_sim.servo_bus.servo_model import PULSES_PER_TURN, OperatingMode, ServoModel

VELOCITY_UNIT = 0.229 * PULSES_PER_TURN / 60  # pulses/s
ACCELERATION_UNIT = 214.577 * PULSES_PER_TURN / 3600  # pulses/s^2
FULL_PWM = 885
_FAR = PULSES_PER_TURN  # how far away the goal is of a motor that only pulls
_POSITION_MODES = {
    OperatingMode.POSITION,
    OperatingMode.EXTENDED_POSITION,
    OperatingMode.CURRENT_BASED_POSITION,
}
_CURRENT_MODES = {OperatingMode.CURRENT, OperatingMode.CURRENT_BASED_POSITION}


class ServoDrive:
    """The motor's part of a servo.

    Attributes:
        goal: where the motor pulls to, pulses.
        share: of its largest torque that it may use, 0 to 1.
        enabled: whether torque is on.
        travelling: whether the goal changes without a request.
        profile: the reference on its way to the goal.
    """

    def __init__(self, model: ServoModel, table: ControlTable) -> None:
        self._model, self._table = model, table
        self.profile = Profile(0.0)
        self.goal, self.share, self.enabled, self.travelling = 0.0, 0.0, False, False
        self.configure()

    def configure(self) -> None:
        """Take over what the control table says; due after every change of it (reading it is slow)."""
        table = self._table
        self._mode = mode = OperatingMode(table[Reg.OPERATING_MODE])
        self.enabled = bool(table[Reg.TORQUE_ENABLE])
        self._in_position_mode = mode in _POSITION_MODES
        limit, speed = table[Reg.VELOCITY_LIMIT], table[Reg.PROFILE_VELOCITY]
        self._speed = (min(speed, limit) if limit else speed) * VELOCITY_UNIT
        self._ramp = table[Reg.PROFILE_ACCELERATION] * ACCELERATION_UNIT
        self._velocity = table[Reg.GOAL_VELOCITY] * VELOCITY_UNIT
        pull = table[Reg.GOAL_PWM]
        self.share = abs(pull) / FULL_PWM
        if mode in _CURRENT_MODES:
            pull = table[Reg.GOAL_CURRENT]
            current = min(abs(pull), table[Reg.CURRENT_LIMIT])
            self.share = min(self.share, current / self._model.full_load)
        self._pull = _FAR if pull > 0 else -_FAR if pull < 0 else 0

    def hold(self, position: float) -> None:
        """Let the goal be to stand here."""
        self.goal = position
        self.profile.rest_at(position)

    def advance(self, goal: float, position: float, dt: float) -> None:
        """Let `dt` seconds pass.

        Args:
            goal: the goal position of the control table, as pulses of the motor.
            position: of the motor, pulses.
            dt: s.
        """
        self.travelling = False
        if not self.enabled:
            self.hold(position)
        elif self._in_position_mode:
            if self._speed > 0:
                self.profile.advance(goal, self._speed, self._ramp, dt)
                self.goal = self.profile.position
                self.travelling = self.goal != goal
            else:
                self.hold(goal)
        elif self._mode == OperatingMode.VELOCITY:
            self.profile.velocity = self._velocity
            self.profile.position += self._velocity * dt
            self.goal = self.profile.position
            self.travelling = self._velocity != 0
        else:
            self.goal = position + self._pull
            self.travelling = True
