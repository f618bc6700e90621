"""Which windows an update sees: shares of the batch for different data, such as half offline, half online."""

from collections.abc import Sequence

import numpy as np

from soft_flow_learner.errors import LearnerError, NoDataError
from soft_flow_learner.replay.chunk_windows import ChunkWindows
from soft_flow_learner.replay.data_filter import DataFilter
from soft_flow_learner.row_order import RowOrder


class RowSampler:
    """Batches of starts as a pure function of the seed, the update and the buffer's content.

    Each share goes through its starts in an order that is shuffled anew each time, as long as the buffer does
    not change; a share without any starts gives its part to the others.
    """

    def __init__(
        self,
        windows: ChunkWindows,
        shares: Sequence[tuple[DataFilter, float]],
        batch: int,
        seed: int,
        complete: bool = True,
    ) -> None:
        """Sample `batch` starts an update, of each filter's data in proportion to its share.

        Args:
            windows: where the starts are.
            shares: filters with positive weights.
            batch: B.
            seed: of the order.
            complete: see `ChunkWindows.starts`.

        Raises:
            LearnerError: no shares, a weight that is not positive, or an empty batch.
            NoDataError: no share has any starts.
        """
        if batch < 1 or not shares or any(not weight > 0 for _, weight in shares):
            raise LearnerError(
                f"expected a batch of at least 1 and shares above 0, got a batch of {batch} and shares "
                f"{[weight for _, weight in shares]}"
            )
        self._windows, self._shares = windows, tuple(shares)
        self._batch, self._seed, self._complete = batch, seed, complete
        self._version = -1
        self._parts: list[tuple[np.ndarray, RowOrder]] = []
        self._refresh()

    def rows(self, update: int) -> np.ndarray:
        """Starts (B,) of an update, counted from 0.

        Raises:
            NoDataError: no share has any starts.
        """
        self._refresh()
        return np.concatenate([starts[order.batch(update)] for starts, order in self._parts])

    def _refresh(self) -> None:
        version = self._windows.buffer.version
        if version == self._version:
            return
        starts = [self._windows.starts(data, self._complete) for data, _ in self._shares]
        weights = np.array(
            [weight if len(rows) else 0.0 for rows, (_, weight) in zip(starts, self._shares, strict=True)]
        )
        if not weights.any():
            raise NoDataError(
                f"none of the {len(self._windows.buffer.episodes)} episodes in the replay fits the data that "
                f"is asked for ({'; '.join(str(data) for data, _ in self._shares)}); collect more, or ask "
                "for other data"
            )
        bounds = np.rint(np.cumsum(weights) / weights.sum() * self._batch).astype(int)
        counts = np.diff(bounds, prepend=0)
        seeds = np.random.SeedSequence(self._seed).generate_state(len(starts), np.uint64)
        self._parts = [
            (rows, RowOrder(len(rows), int(count), int(seed)))
            for rows, count, seed in zip(starts, counts, seeds, strict=True)
            if count
        ]
        self._version = version
