"""Parts of an update side by side, in two threads, each with half of PyTorch's threads.

The products of a small network are too short to be shared: two threads that each do whole parts take little
more than half of the time, and do not wait for each other at every operation, which on a machine that is busy
otherwise costs most.
"""

from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor, wait
from contextlib import contextmanager
from typing import Any, Protocol, TypeVar

import torch

Result = TypeVar("Result")


class Submit(Protocol):
    """Has work done, and returns a function that waits for what comes of it."""

    def __call__(self, work: Callable[[], Result]) -> Callable[[], Result]:
        """Work is begun in the order in which it is submitted, one after the other."""


@contextmanager
def half_the_threads() -> Iterator[int]:
    """While it lasts, operations of the calling thread have half of PyTorch's threads; those left over."""
    threads = torch.get_num_threads()
    torch.set_num_threads(threads - threads // 2)
    try:
        yield threads // 2
    finally:
        torch.set_num_threads(threads)


class TwoThreads:
    """The calling thread and another one, which waits for work."""

    def __init__(self) -> None:
        """The other thread starts when it is first needed."""
        self._other = ThreadPoolExecutor(1, thread_name_prefix="update")

    @contextmanager
    def beside(self) -> Iterator[Submit]:
        """Have work done beside the body of the with statement; at its end all of it is done.

        With a single thread, work is done when it is submitted. Gradients that it computes must not
        accumulate in leaves that the body accumulates in (torch.autograd.grad does not), or their order would
        be open.
        """
        with half_the_threads() as share:
            if share == 0:
                yield at_once
                return
            futures: list[Future[Any]] = []

            def submit(work: Callable[[], Result]) -> Callable[[], Result]:
                future = self._other.submit(_with_threads, share, work)
                futures.append(future)
                return future.result

            try:
                yield submit
            finally:
                wait(futures)  # nobody may change weights while they are still read


def at_once(work: Callable[[], Result]) -> Callable[[], Result]:
    """Do work now, in the calling thread: a `Submit` for what has nothing beside it."""
    result = work()
    return lambda: result


def _with_threads(threads: int, work: Callable[[], Result]) -> Result:
    torch.set_num_threads(threads)
    return work()
