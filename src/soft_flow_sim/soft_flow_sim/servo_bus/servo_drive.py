"""What a servo's motor does, given its control table: the goal that it pulls to, and how hard it may."""

from dataclasses import dataclass

from soft_flow_sim.servo_bus.control_table import ControlTable
from soft_flow_sim.servo_bus.control_table import Register as Reg
from soft_flow_sim.servo_bus.profile import Profile
from soft_flow_sim.servo_bus.servo_model import PULSES_PER_TURN, OperatingMode, ServoModel

VELOCITY_UNIT = 0.229 * PULSES_PER_TURN / 60  # pulses/s
ACCELERATION_UNIT = 214.577 * PULSES_PER_TURN / 3600  # pulses/s^2
_FAR = PULSES_PER_TURN  # how far away the goal is of a motor that only pulls
_POSITION_MODES = {
    OperatingMode.POSITION,
    OperatingMode.EXTENDED_POSITION,
    OperatingMode.CURRENT_BASED_POSITION,
}


@dataclass
class ServoDrive:
    """The motor's share of a servo.

    Attributes:
        goal: where the motor pulls to, pulses.
        share: of its largest torque that it may use, 0 to 1.
        enabled: whether torque is on.
        profile: the reference on its way to the goal.
    """

    model: ServoModel
    table: ControlTable
    goal: float = 0.0
    share: float = 0.0
    enabled: bool = False

    def __post_init__(self) -> None:
        self.profile = Profile(self.goal)

    def hold(self, position: float) -> None:
        """Let all goals be to stand here."""
        self.goal = position
        self.profile.rest_at(position)

    def advance(self, goal: float, position: float, dt: float) -> None:
        """Let `dt` seconds pass.

        Args:
            goal: the goal position of the control table, as pulses of the motor.
            position: of the motor, pulses.
            dt: s.
        """
        table = self.table
        self.enabled = bool(table[Reg.TORQUE_ENABLE])
        if not self.enabled:
            self.hold(position)
            return
        mode = table[Reg.OPERATING_MODE]
        self.share = self._share(mode)
        if mode in _POSITION_MODES:
            limit = table[Reg.VELOCITY_LIMIT]
            speed = min(table[Reg.PROFILE_VELOCITY], limit) if limit else table[Reg.PROFILE_VELOCITY]
            ramp = table[Reg.PROFILE_ACCELERATION] * ACCELERATION_UNIT
            self.profile.advance(goal, speed * VELOCITY_UNIT, ramp, dt)
            self.goal = self.profile.position
        elif mode == OperatingMode.VELOCITY:
            self.profile.velocity = table[Reg.GOAL_VELOCITY] * VELOCITY_UNIT
            self.profile.position += self.profile.velocity * dt
            self.goal = self.profile.position
        else:
            pull = table[Reg.GOAL_CURRENT] if mode == OperatingMode.CURRENT else table[Reg.GOAL_PWM]
            self.goal = position + (_FAR if pull > 0 else -_FAR if pull < 0 else 0)

    @property
    def travelling(self) -> bool:
        """Whether the goal changes without a request."""
        mode = self.table[Reg.OPERATING_MODE]
        return self.enabled and (
            self.profile.velocity != 0 or mode in (OperatingMode.CURRENT, OperatingMode.PWM)
        )

    def _share(self, mode: int) -> float:
        table = self.table
        share = abs(table[Reg.GOAL_PWM]) / 885
        if mode in (OperatingMode.CURRENT, OperatingMode.CURRENT_BASED_POSITION):
            current = min(abs(table[Reg.GOAL_CURRENT]), table[Reg.CURRENT_LIMIT])
            return min(share, current / self.model.full_load)
        return share
