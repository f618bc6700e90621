"""The trajectory that a servo's own profile makes of a goal: ramp, cruise, ramp."""

import math
from dataclasses import dataclass


@dataclass
class Profile:
    """Position and speed of the reference, in pulses and pulses/s."""

    position: float
    velocity: float = 0.0

    def rest_at(self, position: float) -> None:
        """Stand still here."""
        self.position, self.velocity = position, 0.0

    def advance(self, goal: float, max_velocity: float, max_acceleration: float, dt: float) -> None:
        """Move towards `goal` for `dt` seconds.

        Args:
            goal: pulses.
            max_velocity: pulses/s; 0: the goal is reached at once.
            max_acceleration: pulses/s^2; 0: the speed is reached at once.
            dt: s.
        """
        distance = goal - self.position
        if max_velocity <= 0 or (distance == 0 and self.velocity == 0):
            self.rest_at(goal)
            return
        wanted = math.copysign(max_velocity, distance)
        if max_acceleration > 0:
            # v^2 = 2 a d: the speed from which a ramp down ends at the goal, a step later.
            step = max_acceleration * dt
            braking = math.sqrt(step * step / 4 + 2 * max_acceleration * abs(distance)) - step / 2
            wanted = math.copysign(min(max_velocity, braking), distance)
            wanted = min(max(wanted, self.velocity - step), self.velocity + step)
        travel = wanted * dt
        if travel * distance > 0 and abs(travel) >= abs(distance):
            self.rest_at(goal)
        else:
            self.position, self.velocity = self.position + travel, wanted
