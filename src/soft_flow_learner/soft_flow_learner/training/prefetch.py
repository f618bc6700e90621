"""Makes the next batch ready in a thread while an update is computed."""

from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Generic, TypeVar

Batch = TypeVar("Batch")


class Prefetch(Generic[Batch]):
    """Batches by the number of their update, the one after made ready ahead.

    `make` must be a function of the number alone: what it reads must not change.
    """

    def __init__(self, make: Callable[[int], Batch]) -> None:
        """Prepare with `make`, which runs in one thread that is not the caller's."""
        self._make = make
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="prefetch")
        self._next: tuple[int, Future[Batch]] | None = None

    def get(self, number: int) -> Batch:
        """The batch of update `number`; raises what `make` raises."""
        if self._next is None or self._next[0] != number:
            self._next = (number, self._thread.submit(self._make, number))
        batch = self._next[1].result()
        self._next = (number + 1, self._thread.submit(self._make, number + 1))
        return batch
