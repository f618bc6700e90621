"""What frozen image encoders make of every stored step: computed once an episode, kept beside the replay."""

from collections.abc import Mapping
from typing import Protocol

import numpy as np

from soft_flow_learner.replay.replay_buffer import ReplayBuffer, StoredEpisode


class ImageEncoding(Protocol):
    """Image encoders that nothing trains."""

    @property
    def width(self) -> int:
        """Numbers F of a step's features."""
        ...

    def key(self) -> str:
        """What changes exactly when the encoders' weights do."""
        ...

    def encode(self, images: Mapping[str, np.ndarray]) -> np.ndarray:
        """Images (N, height, width, 3) uint8 by camera to features (N, F) float32."""
        ...


class FeatureCache:
    """Features (capacity, F) float32 of the rows of a buffer, always of one encoding.

    Whole episodes are encoded, each by itself and all of it: what is computed depends on the episode alone,
    not on what is stored beside it or when it came. Derived data: never saved.
    """

    def __init__(self, buffer: ReplayBuffer) -> None:
        """Of what `buffer` stores; takes no memory until it is brought up to date."""
        self._buffer = buffer
        self._key, self._version = "", -1
        self._encoded: frozenset[int] = frozenset()  # numbers of episodes
        self._features = np.empty((0, 0), dtype=np.float32)

    def bring_up_to_date(self, encoding: ImageEncoding) -> int:
        """Encode what has no features of this encoding yet; returns the number of episodes encoded."""
        key = encoding.key()
        if key != self._key:
            self._features = np.empty((self._buffer.capacity, encoding.width), dtype=np.float32)
            self._key, self._encoded = key, frozenset()
        elif self._version == self._buffer.version:
            return 0
        stored = self._buffer.episodes
        missing = [episode for episode in stored if episode.number not in self._encoded]
        for episode in missing:
            self._encode(episode, encoding)
        self._encoded = frozenset(episode.number for episode in stored)
        self._version = self._buffer.version
        return len(missing)

    def _encode(self, episode: StoredEpisode, encoding: ImageEncoding) -> None:
        rows = slice(episode.first_row, episode.last_row + 1)
        images = {name: stack[rows] for name, stack in self._buffer.steps.images.items()}
        self._features[rows] = encoding.encode(images)

    def at(self, rows: np.ndarray, encoding: ImageEncoding) -> np.ndarray:
        """Features (..., F) of steps at `rows` (...), which hold steps; brings them up to date first."""
        self.bring_up_to_date(encoding)
        return self._features[rows]
