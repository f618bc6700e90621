"""The interface of everything that gives pictures."""

from dataclasses import dataclass
from typing import Protocol

import numpy as np

from soft_flow_contract.errors import ContractError


class CameraError(ContractError):
    """A camera cannot be opened, was lost, or gives something else than it should; reopening may help."""


class RecordingEndedError(Exception):
    """A recording that does not loop has no further frame."""


@dataclass(frozen=True)
class Frame:
    """One picture.

    Attributes:
        image: RGB (H, W, 3) uint8.
        capture_ns: when it was taken, on the steady clock (CLOCK_MONOTONIC), nanoseconds.
    """

    image: np.ndarray
    capture_ns: int


class CameraSource(Protocol):
    """A device or a recording. One thread calls it."""

    def open(self) -> None:
        """Start; called again after `close`.

        Raises:
            CameraError: it cannot be opened; says what exists instead.
        """

    def read(self) -> Frame:
        """Wait for the next frame.

        Raises:
            CameraError: none came within the source's own limit, or the device is gone.
            RecordingEndedError: a recording is over.
        """

    def close(self) -> None:
        """Release the device; without effect if it is not open."""
