"""The conditional normalizing flow over action chunks: exact likelihood one way, samples the other way.

SOFT-FLOW (arXiv 2602.09580): stacked blocks, each an affine transformation of a subset of the tokens,
conditioned on the observation. Chunks here are in model space, see `action_normalizer.py`.
"""

from itertools import groupby
from typing import Annotated, Literal, cast

import torch
from pydantic import Field, model_validator
from torch import Tensor, nn
from typing_extensions import Self

from soft_flow_contract.strict_model import StrictModel
from soft_flow_policy.coupling import CouplingBlock
from soft_flow_policy.coupling_pass import OrderPass
from soft_flow_policy.masks import cut, cycle_masks, join
from soft_flow_policy.small_attention import has_written_out_gradient
from soft_flow_policy.transformed_normal import TransformedNormal

SMALLEST_DEVIATION = 1e-3  # model space; of data that training adds no noise to


class FlowConfig(StrictModel):
    """Shape of the flow."""

    blocks: Annotated[int, Field(ge=0, le=64)] = 6  # K; each block transforms one half of the numbers
    width: Annotated[int, Field(ge=4)] = 64  # of the conditioner's tokens
    heads: Annotated[int, Field(ge=1)] = 2  # attention heads; must divide width
    mlp_ratio: Annotated[int, Field(ge=1)] = 2  # hidden width of the conditioner's MLP over its width
    conditioner: Literal["transformer", "mlp"] = "transformer"  # "mlp" is the cheaper variant
    scale_max: Annotated[float, Field(gt=0)] = (
        1.0  # bound on |log scale| of a coupling; above 1 the inverse suffers
    )

    @model_validator(mode="after")
    def _divisible(self) -> Self:
        if self.width % self.heads:
            raise ValueError(f"width {self.width} must be a multiple of heads {self.heads}")
        return self


class ConditionalFlow(TransformedNormal):
    """pi(a | c) = N(f(a; c); 0, I) |det df/da| for chunks a (T, A) and a context c, f a stack of couplings.

    Example:
        >>> flow = ConditionalFlow(FlowConfig(), length=16, dimension=23, context_width=128)
        >>> context = torch.randn(5, 128)
        >>> chunk, log_prob = flow.sample(context)
        >>> torch.allclose(flow.log_prob(chunk, context), log_prob, atol=1e-2)
        True
    """

    def __init__(self, config: FlowConfig, length: int, dimension: int, context_width: int) -> None:
        """A flow over chunks (length T, dimension A). It starts as the identity.

        Raises:
            ValueError: no masks exist for this shape.
        """
        super().__init__(length, dimension)
        self.context_width = context_width
        self.log_scale = nn.Parameter(torch.zeros(length, dimension))
        self.bias = nn.Parameter(torch.zeros(length, dimension))
        blocks = [
            CouplingBlock(
                mask,
                length,
                dimension,
                config.conditioner,
                config.width,
                config.heads,
                config.mlp_ratio,
                config.scale_max,
            )
            for mask in cycle_masks(config.blocks, length, dimension)
        ]
        self.blocks = nn.ModuleList(blocks)
        # One product for the modulation of all blocks, one split into all its vectors.
        self._widths = [block.conditioner.modulation_widths for block in blocks]
        self.modulation = nn.Linear(context_width, sum(map(sum, self._widths))) if blocks else None
        if self.modulation is not None:
            initial = [block.conditioner.initial_modulation() for block in blocks]
            self.modulation.bias.data.copy_(torch.cat(initial))
        even_first = torch.cat((torch.arange(0, dimension, 2), torch.arange(1, dimension, 2)))
        self.register_buffer("_even_first", even_first, persistent=False)
        self.register_buffer("_original", torch.argsort(even_first), persistent=False)
        self._even_first: Tensor
        self._original: Tensor

    def _modulations(self, context: Tensor) -> list[list[Tensor]]:
        """For every block its modulation vectors: (C,) for a single context, (B, 1, C) for a batch."""
        if self.modulation is None:
            return []
        whole = self.modulation(nn.functional.silu(context))
        if context.dim() > 1:
            whole = whole.unsqueeze(-2)
        vectors = iter(whole.split([width for widths in self._widths for width in widths], dim=-1))
        return [[next(vectors) for _ in widths] for widths in self._widths]

    def _blocks(self) -> list[CouplingBlock]:
        return [cast(CouplingBlock, block) for block in self.blocks]

    def _order(self, chunk: Tensor, even_first: bool) -> Tensor:
        """The numbers of every step in the masks' order, even dimensions first, or back in their own."""
        order, back = self._even_first, self._original
        if not even_first:
            order, back = back, order
        if not has_written_out_gradient(chunk):
            return chunk.index_select(-1, order)
        ordered: Tensor = OrderPass.apply(chunk, order, back)
        return ordered

    def _log_det(self, log_scales: list[Tensor], batch_shape: torch.Size) -> Tensor:
        """Sum of all log scales, those of the static affine map included."""
        static = self.log_scale.sum()
        if not log_scales:
            return static.expand(batch_shape)
        return torch.cat([scale.flatten(-2) for scale in log_scales], dim=-1).sum(-1) + static

    def forward(self, chunk: Tensor, context: Tensor) -> tuple[Tensor, Tensor]:
        """See TransformedNormal."""
        steps = list(zip(self._blocks(), self._modulations(context), strict=True))
        z, log_scales = self._order(chunk, even_first=True), []
        for axis, run in groupby(steps, lambda step: step[0].mask.axis):
            parts = cut(z, axis)
            for block, modulation in run:
                parts, log_scale = block(parts, modulation)
                log_scales.append(log_scale)
            z = join(parts, axis, self.length)
        z = torch.addcmul(self.bias, z, self.log_scale.exp())
        return self._order(z, even_first=False), self._log_det(log_scales, chunk.shape[:-2])

    def inverse(self, z: Tensor, context: Tensor) -> tuple[Tensor, Tensor]:
        """See TransformedNormal."""
        steps = list(zip(self._blocks(), self._modulations(context), strict=True))
        chunk = (self._order(z, even_first=True) - self.bias) * torch.exp(-self.log_scale)
        log_scales = []
        for axis, run in groupby(reversed(steps), lambda step: step[0].mask.axis):
            parts = cut(chunk, axis)
            for block, modulation in run:
                parts, log_scale = block.inverse(parts, modulation)
                log_scales.append(log_scale)
            chunk = join(parts, axis, self.length)
        return self._order(chunk, even_first=False), -self._log_det(log_scales, z.shape[:-2])

    @torch.no_grad()
    def fit_base(self, chunks: Tensor, sigma: float) -> None:
        """Set the static affine map so that data chunks (N, T, A) become zero mean and unit variance.

        Data-dependent initialization (Kingma & Dhariwal 2018) in closed form, for a flow whose couplings are
        still the identity; `sigma` is the deviation of the noise that training adds to the data. Without it,
        a dimension that never moves takes a thousand updates to become certain.
        """
        rows = chunks.index_select(-1, self._even_first).double()
        log_scale = -0.5 * torch.log(rows.var(0, correction=0) + max(sigma, SMALLEST_DEVIATION) ** 2)
        self.log_scale.copy_(log_scale)
        self.bias.copy_(-rows.mean(0) * log_scale.exp())
