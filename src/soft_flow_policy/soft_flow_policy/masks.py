"""Coupling masks: how a chunk is cut into the part that passes through a block and the part it transforms.

A chunk (..., T, A) is cut along an axis into two parts that are tokens themselves, so that the conditioner
never computes on what it must not see. Whatever the axis, a part of a chunk of 16 steps of 23 numbers is
8 tokens of about 23 numbers. Cuts are views wherever the layout allows it; nothing is gathered.
"""

from dataclasses import dataclass
from typing import Literal

import torch
from torch import Tensor

Axis = Literal["time_parity", "dimension_halves", "time_halves"]
Parts = tuple[Tensor, Tensor]


@dataclass(frozen=True)
class Mask:
    """One coupling mask.

    Attributes:
        axis: how the chunk is cut: even/odd time steps, first/second half of the dimensions (the flow
            orders even dimensions first, so these are the even/odd ones), or first/second half of the time.
        swap: False: the first part passes through; True: the second one does.
    """

    axis: Axis
    swap: bool

    def choose(self, parts: Parts) -> Parts:
        """(first, second) to (passed, transformed), and back: it is its own inverse."""
        return parts[::-1] if self.swap else parts

    def shapes(self, length: int, dimension: int) -> tuple[tuple[int, int], tuple[int, int]]:
        """(tokens, numbers) of the passed and of the transformed part of a chunk (length, dimension)."""
        first = second = (length // 2, dimension)
        if self.axis == "dimension_halves":
            steps = steps_in_a_token(length)
            first = (length // steps, steps * ((dimension + 1) // 2))
            second = (length // steps, steps * (dimension // 2))
        return (second, first) if self.swap else (first, second)


def steps_in_a_token(length: int) -> int:
    """Time steps of half the dimensions that share a token: two where possible, which makes half a chunk."""
    return 2 if length % 2 == 0 else 1


def cut(chunk: Tensor, axis: Axis) -> Parts:
    """Chunk (..., T, A) to its two parts along an axis, both (..., tokens, numbers)."""
    length, dimension = chunk.shape[-2:]
    batch = chunk.shape[:-2]
    if axis == "time_parity":  # neighbours side by side
        first, second = chunk.reshape(*batch, length // 2, 2 * dimension).chunk(2, dim=-1)
    elif axis == "time_halves":
        first, second = chunk.chunk(2, dim=-2)
    else:
        tokens = length // steps_in_a_token(length)
        halves = chunk.split([(dimension + 1) // 2, dimension // 2], dim=-1)
        first, second = (half.reshape(*batch, tokens, -1) for half in halves)
    return first, second


def join(parts: Parts, axis: Axis, length: int) -> Tensor:
    """Inverse of `cut`: two parts to the chunk (..., length, A)."""
    first, second = parts
    batch = first.shape[:-2]
    if axis == "time_halves":
        return torch.cat(parts, dim=-2)
    if axis == "dimension_halves":
        first, second = (part.reshape(*batch, length, -1) for part in parts)
    return torch.cat((first, second), dim=-1).reshape(*batch, length, -1)


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
