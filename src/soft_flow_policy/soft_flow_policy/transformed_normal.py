"""Densities over chunks that are a standard normal variable seen through an invertible map."""

import math

import torch
from torch import Tensor, nn


def draw_noise(context: Tensor, length: int, dimension: int, generator: torch.Generator | None) -> Tensor:
    """Standard normal noise (..., T, A) for contexts (..., C)."""
    shape = (*context.shape[:-1], length, dimension)
    return torch.randn(shape, generator=generator, dtype=context.dtype, device=context.device)


class TransformedNormal(nn.Module):
    """pi(a | c) = N(f(a; c); 0, I) |det df/da| for chunks a (T, A) and a context c.

    A subclass is the map: `forward` from chunk to base, `inverse` back.

    Attributes:
        length, dimension: T and A.
    """

    def __init__(self, length: int, dimension: int) -> None:
        super().__init__()
        self.length, self.dimension = length, dimension

    def forward(self, chunk: Tensor, context: Tensor) -> tuple[Tensor, Tensor]:
        """Chunk (..., T, A) and context (..., C) to the base z (..., T, A) and log|det dz/da| (...)."""
        raise NotImplementedError

    def inverse(self, z: Tensor, context: Tensor) -> tuple[Tensor, Tensor]:
        """Base z (..., T, A) and context (..., C) to the chunk (..., T, A) and log|det da/dz| (...)."""
        raise NotImplementedError

    def base_log_prob(self, z: Tensor) -> Tensor:
        """Log N(z; 0, I), (..., T, A) to (...)."""
        constant = 0.5 * self.length * self.dimension * math.log(2 * math.pi)
        return -0.5 * z.square().sum(dim=(-2, -1)) - constant

    def log_prob(self, chunk: Tensor, context: Tensor) -> Tensor:
        """Exact log density (...) of chunks (..., T, A), in nats, model space."""
        z, log_det = self(chunk, context)
        return self.base_log_prob(z) + log_det

    def sample(
        self,
        context: Tensor,
        temperature: float | Tensor = 1.0,
        noise: Tensor | None = None,
        generator: torch.Generator | None = None,
    ) -> tuple[Tensor, Tensor]:
        """Chunks (..., T, A) for contexts (..., C), and their exact log density (...) at temperature 1.

        Args:
            context: (..., C).
            temperature: factor on the base variable z.
            noise: (..., T, A) standard normal noise; drawn if None.
            generator: draws the noise.
        """
        if noise is None:
            noise = draw_noise(context, self.length, self.dimension, generator)
        z = noise * temperature
        chunk, log_det = self.inverse(z, context)
        return chunk, self.base_log_prob(z) - log_det
