"""The conditional normalizing flow over action chunks: exact likelihood one way, samples the other way.

SOFT-FLOW (arXiv 2602.09580): stacked blocks, each an affine transformation of a subset of the tokens,
conditioned on the observation. Chunks here are in model space, see `action_normalizer.py`.
"""

import math
from typing import Annotated, Literal, Self, cast

import torch
from pydantic import Field, model_validator
from torch import Tensor, nn

from soft_flow_contract.strict_model import StrictModel
from soft_flow_policy.coupling import CouplingBlock
from soft_flow_policy.masks import cycle_masks


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


class ConditionalFlow(nn.Module):
    """pi(a | c) = N(f(a; c); 0, I) |det df/da| for chunks a (T, A) and a context c.

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
        super().__init__()
        self.length, self.dimension, self.context_width = length, dimension, context_width
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
        self._modulation_widths = [block.conditioner.modulation_width for block in blocks]
        # One product for the modulation of all blocks.
        self.modulation = nn.Linear(context_width, sum(self._modulation_widths)) if blocks else None
        even_first = torch.cat((torch.arange(0, dimension, 2), torch.arange(1, dimension, 2)))
        self.register_buffer("_even_first", even_first, persistent=False)
        self.register_buffer("_original", torch.argsort(even_first), persistent=False)
        self._even_first: Tensor
        self._original: Tensor

    def _modulations(self, context: Tensor) -> list[Tensor]:
        if self.modulation is None:
            return []
        return list(self.modulation(torch.nn.functional.silu(context)).split(self._modulation_widths, dim=-1))

    def forward(self, chunk: Tensor, context: Tensor) -> tuple[Tensor, Tensor]:
        """Chunk (B, T, A) and context (B, C) to the base variable z (B, T, A) and log|det dz/da| (B,)."""
        z = chunk.index_select(2, self._even_first)
        log_dets = [self.log_scale.sum().expand(chunk.shape[0])]
        for block, modulation in zip(self.blocks, self._modulations(context), strict=True):
            z, log_det = block(z, modulation)
            log_dets.append(log_det)
        z = torch.addcmul(self.bias, z, self.log_scale.exp()).index_select(2, self._original)
        return z, torch.stack(log_dets).sum(0)

    def inverse(self, z: Tensor, context: Tensor) -> tuple[Tensor, Tensor]:
        """Base variable z (B, T, A) and context (B, C) to the chunk (B, T, A) and log|det da/dz| (B,)."""
        chunk = (z.index_select(2, self._even_first) - self.bias) * torch.exp(-self.log_scale)
        log_dets = [-self.log_scale.sum().expand(z.shape[0])]
        modulations = self._modulations(context)
        for index in reversed(range(len(self.blocks))):
            block = cast(CouplingBlock, self.blocks[index])
            chunk, log_det = block.inverse(chunk, modulations[index])
            log_dets.append(log_det)
        return chunk.index_select(2, self._original), torch.stack(log_dets).sum(0)

    def base_log_prob(self, z: Tensor) -> Tensor:
        """Log N(z; 0, I), (B, T, A) to (B,)."""
        return -0.5 * z.square().sum(dim=(1, 2)) - 0.5 * self.length * self.dimension * math.log(2 * math.pi)

    def log_prob(self, chunk: Tensor, context: Tensor) -> Tensor:
        """Exact log density (B,) of chunks (B, T, A), in nats, model space."""
        z, log_det = self(chunk, context)
        return self.base_log_prob(z) + log_det

    def sample(
        self,
        context: Tensor,
        temperature: float | Tensor = 1.0,
        noise: Tensor | None = None,
        generator: torch.Generator | None = None,
    ) -> tuple[Tensor, Tensor]:
        """Chunks (B, T, A) for contexts (B, C), and their exact log density (B,) at temperature 1.

        Args:
            context: (B, C).
            temperature: factor on the base variable z.
            noise: (B, T, A) standard normal noise; drawn if None.
            generator: draws the noise.
        """
        if noise is None:
            shape = (context.shape[0], self.length, self.dimension)
            noise = torch.randn(shape, generator=generator, dtype=context.dtype, device=context.device)
        z = noise * temperature
        chunk, log_det = self.inverse(z, context)
        return chunk, self.base_log_prob(z) - log_det
