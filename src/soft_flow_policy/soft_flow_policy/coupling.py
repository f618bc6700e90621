"""One block of the flow: an affine coupling, conditioned on the observation and on what passes through."""

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from soft_flow_policy.conditioner import CONDITIONERS
from soft_flow_policy.coupling_pass import AffinePass
from soft_flow_policy.masks import Mask, Parts
from soft_flow_policy.small_attention import has_written_out_gradient


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

    def forward(self, parts: Parts, modulation: Sequence[Tensor]) -> tuple[Parts, Tensor]:
        """Both parts of a chunk to their image, and the log scales s (..., tokens, numbers)."""
        return self._map(parts, modulation, inverse=False)

    def inverse(self, parts: Parts, modulation: Sequence[Tensor]) -> tuple[Parts, Tensor]:
        """Inverse of `forward`; the log scales are still those of the forward map."""
        return self._map(parts, modulation, inverse=True)

    def _map(self, parts: Parts, modulation: Sequence[Tensor], inverse: bool) -> tuple[Parts, Tensor]:
        passed, transformed = self.mask.choose(parts)
        raw = self.conditioner(passed, modulation)
        if has_written_out_gradient(raw):
            transformed, scale = AffinePass.apply(raw, transformed, self.scale_max, inverse)
            return self.mask.choose((passed, transformed)), scale
        scale, shift = raw.chunk(2, dim=-1)
        scale = (
            torch.tanh(scale)
            if self.scale_max == 1.0
            else self.scale_max * torch.tanh(scale / self.scale_max)
        )
        if inverse:
            transformed = (transformed - shift) * torch.exp(-scale)
        else:
            transformed = torch.addcmul(shift, transformed, scale.exp())
        return self.mask.choose((passed, transformed)), scale
