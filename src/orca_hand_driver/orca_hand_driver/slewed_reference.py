"""Where the hand's joints shall be now: led to the newest target no faster than each joint may go."""

import numpy as np
from numpy.typing import NDArray

_LONGEST_STEP = 0.05  # s by which the reference advances at most: a late cycle does not make it jump


class SlewedReference:
    """Leads every joint at its own greatest speed to its target.

    Law: with `low`, `high` the range of motion and `anchor` where it began, the reference stays within
    [min(low, anchor), max(high, anchor)], and moves by at most speed * dt in a step of dt seconds. It may
    begin outside the range (a joint rests a little beyond its calibrated end) and then only moves inwards.
    """

    def __init__(
        self, low: NDArray[np.float64], high: NDArray[np.float64], max_speed: NDArray[np.float64]
    ) -> None:
        """Range (J,) rad and greatest speed (J,) rad/s of every joint."""
        self._low, self._high, self._max_speed = low, high, max_speed
        self._speed = max_speed
        self._position: NDArray[np.float64] | None = None
        self._target: NDArray[np.float64] | None = None

    @property
    def anchored(self) -> bool:
        """Whether it is known where the hand is; before that there is no reference."""
        return self._position is not None

    @property
    def position(self) -> NDArray[np.float64]:
        """(J,) rad, where the joints shall be now."""
        assert self._position is not None, "the reference is not anchored"
        return self._position.copy()

    @property
    def target(self) -> NDArray[np.float64]:
        """(J,) rad, where they are led."""
        assert self._target is not None, "the reference is not anchored"
        return self._target.copy()

    @property
    def arrived(self) -> bool:
        """Whether the reference stands on its target."""
        return bool(np.array_equal(self.position, self.target))

    def anchor(self, position: NDArray[np.float64]) -> None:
        """Begin at a position (J,), rad, and stay there."""
        self._position = np.array(position, float)
        self._target = self._position
        self._speed = self._max_speed

    def freeze(self) -> None:
        """Stay where the reference is: motion ends."""
        self._target, self._speed = self._position, self._max_speed

    def lead_to(self, target: NDArray[np.float64], speed: float | None = None) -> None:
        """Lead to a target (J,), rad, clamped to the range; at most at `speed` (rad/s) if one is given."""
        # A joint that began outside the range and is not commanded stays there: a clamp would move it.
        unchanged = np.asarray(target) == self.target
        self._target = np.where(unchanged, self.target, np.clip(target, self._low, self._high))
        self._speed = self._max_speed if speed is None else np.minimum(self._max_speed, speed)

    def advance(self, dt: float) -> NDArray[np.float64]:
        """The reference (J,), rad, after `dt` more seconds."""
        step = self._speed * min(max(dt, 0.0), _LONGEST_STEP)
        self._position = self.position + np.clip(self.target - self.position, -step, step)
        return self.position
