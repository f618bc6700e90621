"""Two parts of an update side by side, each with half of PyTorch's threads.

The products of a small network are too short to be shared: two threads that each do a whole part take little
more than half of the time, and do not wait for each other at every operation, which on a machine that is busy
otherwise costs most. What is computed does not depend on it.
"""

from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from typing import TypeVar

import torch

Result = TypeVar("Result")


class TwoThreads:
    """The calling thread and another one, which waits for work."""

    def __init__(self) -> None:
        """The other thread starts when it is first needed."""
        self._other = ThreadPoolExecutor(1, thread_name_prefix="update")

    @contextmanager
    def beside(self, work: Callable[[], Result]) -> Iterator[Callable[[], Result]]:
        """Run `work` beside the body of the with statement, to which a function that waits for it is given.

        With a single thread it runs before the body. Gradients that `work` computes must not accumulate in
        leaves that the body accumulates in (use torch.autograd.grad), or their order would be open.
        """
        threads = torch.get_num_threads()
        if threads < 2:
            result = work()
            yield lambda: result
            return
        share = threads // 2
        future: Future[Result] = self._other.submit(_with_threads, share, work)
        torch.set_num_threads(threads - share)
        try:
            yield future.result
        finally:
            torch.set_num_threads(threads)
            future.exception()  # waits: nobody may change weights while it still reads them


def _with_threads(threads: int, work: Callable[[], Result]) -> Result:
    torch.set_num_threads(threads)
    return work()
