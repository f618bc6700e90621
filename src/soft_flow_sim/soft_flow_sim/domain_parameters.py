"""What may differ between worlds: the physical and visual parameters of a cell."""

from dataclasses import dataclass, fields


@dataclass(frozen=True)
class DomainParameters:
    """Parameters of a world: demonstrations are made in NOMINAL; SHIFTED stands for "the real robot"."""

    name: str = "nominal"
    # Mass of the scissors relative to the nominal 0.085 kg.
    scissors_mass_scale: float = 1.0
    # Sliding friction of fingers and palm.
    hand_friction: float = 1.0
    # Stiffness of the arm's and the hand's position servos relative to nominal.
    actuator_gain_scale: float = 1.0
    # Delay between a command's arrival and its effect, seconds; applied in whole milliseconds.
    command_delay: float = 0.0
    # Standard deviation of the measured joint positions, rad.
    joint_noise: float = 0.0
    # Displacement of every camera along its own x, y and z axes, metres.
    camera_offset: tuple[float, float, float] = (0.0, 0.0, 0.0)
    # Brightness of the lights relative to nominal.
    light_scale: float = 1.0
    # Force of each blade at which the tape parts, newtons.
    cut_force: float = 2.5
    # How far scissors and arm start from nominal, relative to the task's range; 0: always there.
    start_spread: float = 1.0

    def __post_init__(self) -> None:
        """Raises ValueError for a scale or a force that is not positive, or a negative delay or noise."""
        for field in fields(self):
            value = getattr(self, field.name)
            if field.name.endswith(("_scale", "_force", "_friction")) and value <= 0:
                raise ValueError(f"{field.name} must be positive, got {value}")
        for name in ("command_delay", "joint_noise", "start_spread"):
            if getattr(self, name) < 0:
                raise ValueError(f"{name} must not be negative, got {getattr(self, name)}")


NOMINAL = DomainParameters()
SHIFTED = DomainParameters(
    name="shifted",
    scissors_mass_scale=1.3,
    hand_friction=0.7,
    actuator_gain_scale=0.8,
    command_delay=0.01,
    joint_noise=0.003,
    camera_offset=(0.006, -0.004, 0.004),
    light_scale=0.75,
    cut_force=3.0,
)
FIXED_START = DomainParameters(name="fixed_start", start_spread=0.0)
DOMAINS = {domain.name: domain for domain in (NOMINAL, SHIFTED, FIXED_START)}
