"""A flow-matching policy by imitation: the usual expressive policy, which has no likelihood.

Flow matching along straight lines (Lipman et al. 2023): with x_t = (1 - t) z + t a,  z ~ N(0, I),

    L = E |v(x_t, t, o) - (a - z)|^2,    and a sample follows dx/dt = v from t = 0 to 1 in Euler steps.
"""

import math
from typing import cast

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from learning.arms.arm import Arm
from soft_flow_contract.task_specification import TaskSpecification
from soft_flow_policy.conditioner import TransformerLayer
from soft_flow_policy.flow import ConditionalFlow, FlowConfig
from soft_flow_policy.policy import ChunkSample, FlowPolicy
from soft_flow_policy.policy_config import FlowPolicyConfig
from soft_flow_policy.transformed_normal import draw_noise

STEPS = 10
FREQUENCIES = 8  # of the embedding of time


class VelocityField(nn.Module):
    """v(x_t, t, c) over chunks (T, A): layers as many and as wide as the flow's, one token a time step."""

    def __init__(self, config: FlowConfig, length: int, dimension: int, context_width: int) -> None:
        """For chunks (length T, dimension A)."""
        super().__init__()
        self.length, self.dimension = length, dimension
        self.embed = nn.Linear(dimension, config.width, bias=False)
        self.position = nn.Parameter(0.1 * torch.randn(length, config.width))
        self.time = nn.Linear(2 * FREQUENCIES, context_width)
        self.layers = nn.ModuleList(
            TransformerLayer(config.width, config.heads, config.mlp_ratio) for _ in range(config.blocks)
        )
        self._widths = [cast(TransformerLayer, layer).modulation_widths for layer in self.layers]
        self.modulation = nn.Linear(context_width, sum(map(sum, self._widths)))
        self.head = nn.Linear(config.width, dimension)
        nn.init.zeros_(self.head.weight)
        nn.init.zeros_(self.head.bias)
        self.register_buffer("centre", torch.zeros(length, dimension))
        self.register_buffer("spread", torch.ones(length, dimension))
        self.centre: Tensor
        self.spread: Tensor

    @torch.no_grad()
    def fit_base(self, chunks: Tensor, sigma: float) -> None:
        """Scale chunks (N, T, A) to about unit variance; `sigma` is the noise that is added to them."""
        rows = chunks.double()
        self.centre.copy_(rows.mean(0))
        self.spread.copy_((rows.var(0, correction=0) + sigma**2).sqrt().clamp_min(1e-3))

    def forward(self, x: Tensor, time: Tensor, context: Tensor) -> Tensor:
        """Points (B, T, A) at times (B,) for contexts (B, C) to velocities (B, T, A)."""
        angles = time[:, None] * (math.pi * torch.arange(1, FREQUENCIES + 1, dtype=x.dtype, device=x.device))
        condition = context + self.time(torch.cat((angles.sin(), angles.cos()), dim=1))
        whole = self.modulation(F.silu(condition)).unsqueeze(-2)
        vectors = iter(whole.split([width for widths in self._widths for width in widths], dim=-1))
        hidden = self.embed(x) + self.position
        for layer, widths in zip(self.layers, self._widths, strict=True):
            hidden = layer(hidden, [next(vectors) for _ in widths])
        return self.head(F.layer_norm(hidden, hidden.shape[-1:]))

    def loss(self, chunk: Tensor, context: Tensor, generator: torch.Generator | None) -> Tensor:
        """L of chunks (B, T, A) for contexts (B, C), (B,)."""
        data = (chunk - self.centre) / self.spread
        z = torch.randn(data.shape, generator=generator, dtype=data.dtype, device=data.device)
        time = torch.rand(len(data), generator=generator, dtype=data.dtype, device=data.device)
        share = time[:, None, None]
        velocity = self(torch.lerp(z, data, share), time, context)
        return (velocity - (data - z)).square().mean(dim=(-2, -1))

    def sample(self, context: Tensor, noise: Tensor) -> Tensor:
        """Follow the field from `noise` (B, T, A) in Euler steps."""
        x = noise
        for step in range(STEPS):
            time = torch.full((len(x),), step / STEPS, dtype=x.dtype, device=x.device)
            x = x + self(x, time, context) / STEPS
        return self.centre + x * self.spread


class FlowMatchingPolicy(FlowPolicy):
    """`FlowPolicy` as far as imitation and acting need it; it has no densities."""

    def __init__(self, config: FlowPolicyConfig, specification: TaskSpecification) -> None:
        """See FlowPolicy."""
        super().__init__(config, specification)
        field = VelocityField(config.flow, self.length, self.dimension, config.context_width)
        self.flow = cast(ConditionalFlow, field)  # what a policy fits to the data and trains

    @property
    def _field(self) -> VelocityField:
        return cast(VelocityField, self.flow)

    def nll_given_context(
        self, context: Tensor, chunks: Tensor, generator: torch.Generator | None = None
    ) -> Tensor:
        """The loss of flow matching, (B,), in the place of the likelihood's."""
        noise = torch.randn(chunks.shape, generator=generator, dtype=chunks.dtype, device=chunks.device)
        noisy = torch.add(self.normalizer.to_model(chunks), noise, alpha=self.config.dequantization)
        return self._field.loss(noisy, context, generator)

    def sample_given_context(
        self,
        context: Tensor,
        temperature: float | Tensor = 1.0,
        noise: Tensor | None = None,
        generator: torch.Generator | None = None,
        previous_action: Tensor | None = None,
    ) -> ChunkSample:
        """See FlowPolicy; the log density is unknown, NaN."""
        if noise is None:
            noise = draw_noise(context, self.length, self.dimension, generator)
        chunk = self._field.sample(context, noise * temperature)
        if previous_action is not None:
            chunk = self.denoiser(chunk, self.normalizer.to_model(previous_action))
        unknown = chunk.new_full((len(chunk),), float("nan"))
        return ChunkSample(self.normalizer.to_contract(chunk), unknown)


FLOW_MATCHING = Arm(
    "flow_matching",
    "flow matching, imitation",
    make_policy=FlowMatchingPolicy,
    imitation_only=True,
    has_likelihood=False,
)
