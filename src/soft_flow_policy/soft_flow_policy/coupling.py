"""One block of the flow: an affine coupling, conditioned on the observation and on what passes through."""

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from soft_flow_policy.conditioner import CONDITIONERS
from soft_flow_policy.masks import Mask, Parts


class CouplingBlock(nn.Module):
    """(p, x) -> (p, x exp(s) + t) with s, t = conditioner(p, context).

    s = s_max tanh(s_hat / s_max) keeps the block invertible in floating point (RealNVP, Dinh et al. 2017).
    log|det| = sum(s).
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
        passed, transformed = mask.shapes(length, dimension)
        self.conditioner = CONDITIONERS[conditioner](passed, transformed, width, heads, mlp_ratio)

    def _scale_and_shift(self, passed: Tensor, modulation: Sequence[Tensor]) -> tuple[Tensor, Tensor]:
        raw_scale, shift = self.conditioner(passed, modulation)
        if self.scale_max == 1.0:
            return torch.tanh(raw_scale), shift
        return self.scale_max * torch.tanh(raw_scale / self.scale_max), shift

    def forward(self, parts: Parts, modulation: Sequence[Tensor]) -> tuple[Parts, Tensor]:
        """Both parts of a chunk to their image, and the log scales s (..., tokens, numbers)."""
        passed, transformed = self.mask.choose(parts)
        scale, shift = self._scale_and_shift(passed, modulation)
        transformed = torch.addcmul(shift, transformed, scale.exp())
        return self.mask.choose((passed, transformed)), scale

    def inverse(self, parts: Parts, modulation: Sequence[Tensor]) -> tuple[Parts, Tensor]:
        """Inverse of `forward`; the log scales are still those of the forward map."""
        passed, transformed = self.mask.choose(parts)
        scale, shift = self._scale_and_shift(passed, modulation)
        transformed = (transformed - shift) * torch.exp(-scale)
        return self.mask.choose((passed, transformed)), scale
