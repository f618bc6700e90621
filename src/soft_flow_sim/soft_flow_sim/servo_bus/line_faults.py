"""What can be wrong with the cable between client and servos: silence, and bytes that change on the way."""

import random


class LineFaults:
    """Passes bytes on, unless told otherwise.

    Attributes:
        silent: whether nothing gets through.
    """

    def __init__(self) -> None:
        self.silent = False
        self._probability = 0.0
        self._random = random.Random(0)

    def add_noise(self, probability: float, seed: int) -> None:
        """From now on a byte changes with this probability; the same seed does the same again."""
        self._probability, self._random = probability, random.Random(seed)

    def clear(self) -> None:
        """Neither silence nor noise."""
        self.silent, self._probability = False, 0.0

    def carry(self, data: bytes) -> bytes:
        """What arrives of bytes that are sent, in either direction."""
        if self.silent:
            return b""
        if not self._probability:
            return data
        damaged = bytearray(data)
        for place in range(len(damaged)):
            if self._random.random() < self._probability:
                damaged[place] ^= self._random.randrange(1, 256)
        return bytes(damaged)
