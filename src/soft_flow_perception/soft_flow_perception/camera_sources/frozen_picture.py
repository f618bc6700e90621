"""Tells a camera that repeats its last picture from one that sees: real sensors have noise."""

import numpy as np

_SAMPLED_ROWS = 16  # every so many rows are compared first: two different pictures differ there


class FrozenPicture:
    """Compares every frame with the one before, pixel by pixel."""

    def __init__(self, limit_ns: int) -> None:
        """A picture that lasts longer than `limit_ns` is frozen; 0: none ever is, repeats do not count."""
        self._limit_ns = limit_ns
        self._picture: np.ndarray | None = None
        self._since_ns = 0
        self.unchanged_ns = 0

    def repeats(self, image: np.ndarray, capture_ns: int) -> bool:
        """Take the next frame; whether it is the last picture again."""
        if not self._limit_ns:
            return False
        if self._picture is not None and _same(self._picture, image):
            self.unchanged_ns = capture_ns - self._since_ns
            return True
        self._picture, self._since_ns, self.unchanged_ns = image, capture_ns, 0
        return False

    @property
    def frozen(self) -> bool:
        """Whether the picture has been the same for longer than the limit."""
        return self._limit_ns > 0 and self.unchanged_ns > self._limit_ns


def _same(first: np.ndarray, second: np.ndarray) -> bool:
    rows = slice(None, None, _SAMPLED_ROWS)
    return (
        first.shape == second.shape
        and np.array_equal(first[rows], second[rows])
        and np.array_equal(first, second)
    )
