"""Two streams that are stamped with the same ticks, joined."""

from collections import OrderedDict
from typing import Generic, TypeVar

A = TypeVar("A")
B = TypeVar("B")


class TickJoin(Generic[A, B]):
    """Gives a pair once both sides of a tick have arrived; drops incomplete ticks that newer ones pass."""

    def __init__(self, depth: int = 8) -> None:
        """Keep at most `depth` incomplete ticks a side."""
        self._depth = depth
        self._first: OrderedDict[int, A] = OrderedDict()
        self._second: OrderedDict[int, B] = OrderedDict()

    def add_first(self, stamp_ns: int, value: A) -> tuple[A, B] | None:
        """Add to the first stream; the pair if it is complete."""
        if stamp_ns in self._second:
            second = self._second[stamp_ns]
            self._drop_until(stamp_ns)
            return value, second
        self._keep(self._first, stamp_ns, value)
        return None

    def add_second(self, stamp_ns: int, value: B) -> tuple[A, B] | None:
        """Add to the second stream; the pair if it is complete."""
        if stamp_ns in self._first:
            first = self._first[stamp_ns]
            self._drop_until(stamp_ns)
            return first, value
        self._keep(self._second, stamp_ns, value)
        return None

    def _keep(self, side: OrderedDict, stamp_ns: int, value: A | B) -> None:
        side[stamp_ns] = value
        while len(side) > self._depth:
            side.popitem(last=False)

    def _drop_until(self, stamp_ns: int) -> None:
        for side in (self._first, self._second):
            for old in [stamp for stamp in side if stamp <= stamp_ns]:
                del side[old]
