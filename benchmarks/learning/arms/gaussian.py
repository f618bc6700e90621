"""A Gaussian chunk policy with the same critic: what the flow is worth."""

from typing import cast

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from learning.arms.arm import Arm
from soft_flow_contract.task_specification import TaskSpecification
from soft_flow_policy.conditioner import TransformerLayer
from soft_flow_policy.flow import SMALLEST_DEVIATION, ConditionalFlow, FlowConfig
from soft_flow_policy.policy import FlowPolicy
from soft_flow_policy.policy_config import FlowPolicyConfig
from soft_flow_policy.transformed_normal import TransformedNormal

LOG_DEVIATION_RANGE = 5.0  # bound on |log deviation| relative to the data's


class GaussianChunk(TransformedNormal):
    """N(mean(c), diag(deviation(c)^2)) over chunks (T, A), with the interface of `ConditionalFlow`.

    Its layers are as many and as wide as the flow's, over one token a time step; mean and log deviation
    depend on the context alone.
    """

    def __init__(self, config: FlowConfig, length: int, dimension: int, context_width: int) -> None:
        """A policy over chunks (length T, dimension A)."""
        super().__init__(length, dimension)
        self.context_width = context_width
        self.tokens = nn.Parameter(0.1 * torch.randn(length, config.width))
        self.layers = nn.ModuleList(
            TransformerLayer(config.width, config.heads, config.mlp_ratio) for _ in range(config.blocks)
        )
        self._widths = [cast(TransformerLayer, layer).modulation_widths for layer in self.layers]
        self.modulation = nn.Linear(context_width, sum(map(sum, self._widths)))
        self.head = nn.Linear(config.width, 2 * dimension)
        nn.init.zeros_(self.head.weight)
        nn.init.zeros_(self.head.bias)
        self.register_buffer("centre", torch.zeros(length, dimension))
        self.register_buffer("log_spread", torch.zeros(length, dimension))
        self.centre: Tensor
        self.log_spread: Tensor

    @torch.no_grad()
    def fit_base(self, chunks: Tensor, sigma: float) -> None:
        """Start at mean and deviation of the data, see `ConditionalFlow.fit_base`."""
        rows = chunks.double()
        self.centre.copy_(rows.mean(0))
        self.log_spread.copy_(
            0.5 * torch.log(rows.var(0, correction=0) + max(sigma, SMALLEST_DEVIATION) ** 2)
        )

    def _mean_and_log_deviation(self, context: Tensor) -> tuple[Tensor, Tensor]:
        """Contexts (..., C) to (..., T, A) each."""
        whole = self.modulation(F.silu(context)).unsqueeze(-2)
        vectors = iter(whole.split([width for widths in self._widths for width in widths], dim=-1))
        x = self.tokens.expand(*context.shape[:-1], *self.tokens.shape)
        for layer, widths in zip(self.layers, self._widths, strict=True):
            x = layer(x, [next(vectors) for _ in widths])
        mean, log_deviation = self.head(F.layer_norm(x, x.shape[-1:])).chunk(2, dim=-1)
        bounded = LOG_DEVIATION_RANGE * torch.tanh(log_deviation / LOG_DEVIATION_RANGE)
        return self.centre + mean * self.log_spread.exp(), self.log_spread + bounded

    def forward(self, chunk: Tensor, context: Tensor) -> tuple[Tensor, Tensor]:
        """See TransformedNormal."""
        mean, log_deviation = self._mean_and_log_deviation(context)
        return (chunk - mean) * torch.exp(-log_deviation), -log_deviation.sum(dim=(-2, -1))

    def inverse(self, z: Tensor, context: Tensor) -> tuple[Tensor, Tensor]:
        """See TransformedNormal."""
        mean, log_deviation = self._mean_and_log_deviation(context)
        return mean + z * log_deviation.exp(), log_deviation.sum(dim=(-2, -1))


def make_policy(config: FlowPolicyConfig, specification: TaskSpecification) -> FlowPolicy:
    """The policy with a Gaussian in the flow's place."""
    policy = FlowPolicy(config, specification)
    gaussian = GaussianChunk(config.flow, policy.length, policy.dimension, config.context_width)
    policy.flow = cast(ConditionalFlow, gaussian)  # as a policy uses it, it is one
    return policy


GAUSSIAN = Arm("gaussian", "Gaussian + chunked critic", make_policy=make_policy)
