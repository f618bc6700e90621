"""Pairs of held-out observations, h steps apart, on which a policy's likelihood gate is calibrated."""

from collections.abc import Iterator

import numpy as np

from soft_flow_learner.algorithm.learner_batch import LearnerBatch
from soft_flow_learner.episode_store import EpisodeStore
from soft_flow_learner.imitation import to_tensors
from soft_flow_learner.replay.chunk_windows import ChunkWindows
from soft_flow_learner.replay.data_filter import ALL_DATA
from soft_flow_policy.observation_encoder import ObservationBatch

PAIRS = 256  # at most so many, evenly spread
BATCH = 64


def _batches(rows: np.ndarray) -> Iterator[np.ndarray]:
    chosen = rows[np.linspace(0, len(rows) - 1, PAIRS).astype(int)] if len(rows) > PAIRS else rows
    for first in range(0, len(chosen), BATCH):
        yield chosen[first : first + BATCH]


def pairs_of_store(store: EpisodeStore, executed: int) -> Iterator[tuple[ObservationBatch, ObservationBatch]]:
    """Batches of observations and those `executed` steps later, of the same episode."""
    last = max(len(store) - executed, 0)
    same = [store.place(row)[0] == store.place(row + executed)[0] for row in range(last)]
    for batch in _batches(np.flatnonzero(same)):
        yield to_tensors(store.batch(batch))[0], to_tensors(store.batch(batch + executed))[0]


def pairs_of_windows(windows: ChunkWindows) -> Iterator[tuple[ObservationBatch, ObservationBatch]]:
    """Batches of observations and those after a whole executed chunk."""
    random = np.random.default_rng(0)  # of actions past the end of an episode, which do not count here
    rows = windows.starts(ALL_DATA, complete=False)
    if not len(rows):
        return
    whole = windows.batch(rows, random, images=False).steps == windows.executed
    for batch in _batches(rows[whole]):
        pair = LearnerBatch.of(windows.batch(batch, random))
        yield pair.observation, pair.next_observation
