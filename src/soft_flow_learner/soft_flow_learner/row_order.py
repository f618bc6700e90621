"""The order in which rows are seen: shuffled anew each epoch, a pure function of the seed and the update."""

import numpy as np


class RowOrder:
    """Batches without replacement over `rows` rows; a batch may reach into the next epoch."""

    def __init__(self, rows: int, batch: int, seed: int) -> None:
        self._rows, self._batch, self._seed = rows, batch, seed
        self._epoch, self._shuffled = -1, np.empty(0, dtype=np.int64)

    def _epoch_order(self, epoch: int) -> np.ndarray:
        if epoch != self._epoch:
            self._epoch = epoch
            self._shuffled = np.random.default_rng((self._seed, epoch)).permutation(self._rows)
        return self._shuffled

    def batch(self, update: int) -> np.ndarray:
        """Rows (B,) of an update."""
        rows = np.empty(self._batch, dtype=np.int64)
        start = update * self._batch
        done = 0
        while done < self._batch:
            epoch, offset = divmod(start + done, self._rows)
            part = self._epoch_order(epoch)[offset : offset + self._batch - done]
            rows[done : done + len(part)] = part
            done += len(part)
        return rows
