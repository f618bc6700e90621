"""Coupling masks: which part of a chunk passes through a block unchanged, and which part is transformed.

A mask splits a chunk (..., T, A) into two parts that are tokens themselves, so that the conditioner never
computes on what it must not see. Splits are views wherever the layout allows it; nothing is gathered.
"""

from dataclasses import dataclass
from typing import Literal

import torch
from torch import Tensor

Axis = Literal["time_parity", "dimension_halves", "time_halves"]


@dataclass(frozen=True)
class Mask:
    """One coupling mask.

    Attributes:
        axis: how the chunk is split: even/odd time steps, first/second half of the dimensions (the flow
            orders even dimensions first, so these are the even/odd ones), or first/second half of the time.
        swap: False: the first part passes through; True: the second one does.
    """

    axis: Axis
    swap: bool

    def split(self, chunk: Tensor) -> tuple[Tensor, Tensor]:
        """Chunk (..., T, A) to (passed, transformed); both (..., tokens, dimensions)."""
        if self.axis == "time_parity":
            length, dimension = chunk.shape[-2:]
            first, second = chunk.reshape(*chunk.shape[:-2], length // 2, 2 * dimension).chunk(2, dim=-1)
        elif self.axis == "time_halves":
            first, second = chunk.chunk(2, dim=-2)
        else:
            first, second = chunk.split([(chunk.shape[-1] + 1) // 2, chunk.shape[-1] // 2], dim=-1)
        return (second, first) if self.swap else (first, second)

    def merge(self, passed: Tensor, transformed: Tensor) -> Tensor:
        """Inverse of `split`."""
        first, second = (transformed, passed) if self.swap else (passed, transformed)
        if self.axis == "time_halves":
            return torch.cat((first, second), dim=-2)
        whole = torch.cat((first, second), dim=-1)
        if self.axis == "time_parity":  # pairs of neighbours lie side by side
            whole = whole.reshape(*first.shape[:-2], 2 * first.shape[-2], first.shape[-1])
        return whole

    def shapes(self, length: int, dimension: int) -> tuple[tuple[int, int], tuple[int, int]]:
        """(tokens, dimensions) of the passed and of the transformed part of a chunk (length, dimension)."""
        if self.axis == "dimension_halves":
            first, second = (length, (dimension + 1) // 2), (length, dimension // 2)
        else:
            first = second = (length // 2, dimension)
        return (second, first) if self.swap else (first, second)


def cycle_masks(blocks: int, length: int, dimension: int) -> list[Mask]:
    """The masks of a flow with `blocks` blocks over chunks (length, dimension).

    They cycle through even/odd time steps, even/odd dimensions and first/second half of the time, each in
    both directions; axes along which there is nothing to split are left out.

    Raises:
        ValueError: an odd length above 1, or a single number that no coupling can split.
    """
    if length > 1 and length % 2:
        raise ValueError(
            f"chunk length must be 1 or even, got {length}; change chunk.length in the task file"
        )
    axes: list[Axis] = []
    if length > 1:
        axes.append("time_parity")
    if dimension > 1:
        axes.append("dimension_halves")
    if length > 2:
        axes.append("time_halves")
    if blocks and not axes:
        raise ValueError("a chunk of one number cannot be split: use blocks=0 for a plain affine flow")
    cycle = [Mask(axis, swap) for axis in axes for swap in (False, True)]
    return [cycle[index % len(cycle)] for index in range(blocks)]
