"""One block of the flow: a static affine map, then an affine coupling conditioned on what passes through."""

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from soft_flow_policy.conditioner import CONDITIONERS
from soft_flow_policy.masks import Mask


class CouplingBlock(nn.Module):
    """x <- x exp(l) + b, then y = m x + (1 - m)(x exp(s) + t) with s, t = conditioner(m x, context).

    s = s_max tanh(s_hat / s_max) keeps the block invertible in floating point (RealNVP, Dinh et al. 2017).
    log|det dy/dx| = sum(s) + sum(l).
    """

    def __init__(
        self,
        mask: Mask,
        length: int,
        dimension: int,
        conditioner: str,
        width: int,
        heads: int,
        mlp_ratio: int,
        scale_max: float,
    ) -> None:
        """A block over chunks (length, dimension)."""
        super().__init__()
        self.mask = mask
        self.scale_max = scale_max
        self.log_scale = nn.Parameter(torch.zeros(length, dimension))
        self.bias = nn.Parameter(torch.zeros(length, dimension))
        passed, transformed = mask.shapes(length, dimension)
        self.conditioner = CONDITIONERS[conditioner](passed, transformed, width, heads, mlp_ratio)

    def _scale_and_shift(self, passed: Tensor, modulation: Sequence[Tensor]) -> tuple[Tensor, Tensor]:
        raw_scale, shift = self.conditioner(passed, modulation)
        if self.scale_max == 1.0:
            return torch.tanh(raw_scale), shift
        return self.scale_max * torch.tanh(raw_scale / self.scale_max), shift

    def forward(self, chunk: Tensor, modulation: Sequence[Tensor]) -> tuple[Tensor, Tensor]:
        """Chunk (..., T, A) to its image and the log scales s (..., tokens, dimensions).

        log|det| = sum(s) + sum(l); the flow adds up both, once for all blocks.
        """
        chunk = torch.addcmul(self.bias, chunk, self.log_scale.exp())
        passed, transformed = self.mask.split(chunk)
        scale, shift = self._scale_and_shift(passed, modulation)
        transformed = torch.addcmul(shift, transformed, scale.exp())
        return self.mask.merge(passed, transformed), scale

    def inverse(self, chunk: Tensor, modulation: Sequence[Tensor]) -> tuple[Tensor, Tensor]:
        """Inverse of `forward`; the log scales are still those of the forward map."""
        passed, transformed = self.mask.split(chunk)
        scale, shift = self._scale_and_shift(passed, modulation)
        transformed = (transformed - shift) / scale.exp()
        chunk = (self.mask.merge(passed, transformed) - self.bias) * torch.exp(-self.log_scale)
        return chunk, scale
