"""The critic: a transformer that values whole action chunks, an ensemble of them at once.

SOFT-FLOW (arXiv 2602.09580): tokens [readout, observation, a_0, ..., a_(h-1)], a categorical value
(HL-Gauss), the minimum over the members as estimate. It sees exactly the h actions that are executed, and of
proprioception what it will be after them (ours, see `forward_model.py`).
"""

from typing import Annotated

import torch
import torch.nn.functional as F  # noqa: N812 - its usual name
from pydantic import Field, model_validator
from torch import Tensor, nn
from typing_extensions import Self

from soft_flow_contract.strict_model import StrictModel
from soft_flow_learner.algorithm.ensemble_layers import EnsembleLinear, EnsembleTransformerLayer, held
from soft_flow_learner.algorithm.forward_model import ForwardModel
from soft_flow_learner.algorithm.histogram_value import HistogramValue, ValueConfig


class CriticConfig(StrictModel):
    """Shape of the critic."""

    members: Annotated[int, Field(ge=1, le=10)] = 2  # E of the ensemble
    layers: Annotated[int, Field(ge=1)] = 2
    width: Annotated[int, Field(ge=4)] = 64
    heads: Annotated[int, Field(ge=1)] = 2
    mlp_ratio: Annotated[int, Field(ge=1)] = 2
    observation_tokens: Annotated[int, Field(ge=1)] = 2
    forward_model: bool = True  # proprioception as the chunk will leave it, instead of as it is
    value: ValueConfig = ValueConfig()

    @model_validator(mode="after")
    def _divisible(self) -> Self:
        if self.width % self.heads:
            raise ValueError(f"width {self.width} must be a multiple of heads {self.heads}")
        return self


class ChunkCritic(nn.Module):
    """Q_e(o, a_0..a_(h-1)) for members e = 1..E.

    Example:
        >>> critic = ChunkCritic(CriticConfig(), proprioception=30, images=0, horizon=8, dimension=23)
        >>> logits = critic(torch.randn(5, 30), torch.rand(5, 8, 23))
        >>> critic.histogram.mean(logits).min(dim=0).values.shape
        torch.Size([5])
    """

    def __init__(
        self, config: CriticConfig, proprioception: int, images: int, horizon: int, dimension: int
    ) -> None:
        """A critic of so many numbers of both kinds an observation, and chunks (horizon h, dimension A)."""
        super().__init__()
        members, width = config.members, config.width
        self.config, self.horizon, self.proprioception = config, horizon, proprioception
        self.model = ForwardModel(proprioception, horizon, dimension) if config.forward_model else None
        self.histogram = HistogramValue(config.value)
        self.observation_in = EnsembleLinear(members, proprioception + images, 2 * width)
        self.observation_out = EnsembleLinear(members, 2 * width, config.observation_tokens * width)
        self.action_in = EnsembleLinear(members, dimension, width)
        self.readout = nn.Parameter(0.1 * torch.randn(members, 1, 1, width))
        tokens = 1 + config.observation_tokens + horizon
        self.position = nn.Parameter(0.1 * torch.randn(members, 1, tokens, width))
        self.layers = nn.ModuleList(
            EnsembleTransformerLayer(members, width, config.heads, config.mlp_ratio)
            for _ in range(config.layers)
        )
        self.head = EnsembleLinear(members, width, config.value.bins)
        nn.init.zeros_(self.head.weight)
        self.head.bias.data.copy_(self.histogram.start_at(max(0.0, config.value.lowest_return)))

    def forward(self, observation: Tensor, actions: Tensor, frozen: bool = False) -> Tensor:
        """Observations (B, P + images) and chunks (B, h, A), contract space, to logits (E, B, bins).

        If `frozen`, gradients reach the inputs, not the critic: how an actor climbs it. They never reach the
        forward model, which learns from what came, not from what it was worth.
        """
        return self.judge(self.foresee(observation, actions, frozen=True), actions, frozen)

    def foresee(self, observation: Tensor, actions: Tensor, frozen: bool = False) -> Tensor:
        """Observations and chunks to what the members see, (B, P + images).

        That is proprioception as the forward model foresees it, or as it is if there is none.
        """
        if self.model is None:
            return observation
        now, images = observation.tensor_split((self.proprioception,), dim=1)
        return torch.cat((self.model(now, actions, frozen), images), dim=1)

    def judge(self, foreseen: Tensor, actions: Tensor, frozen: bool = False) -> Tensor:
        """Logits (E, B, bins) of chunks, given what comes of them, see `foresee`."""
        batch, members, width = foreseen.shape[0], self.config.members, self.config.width
        seen = self.observation_out(F.silu(self.observation_in(foreseen, frozen)), frozen)
        acted = self.action_in(actions.flatten(0, 1), frozen)
        readout, position = held(self.readout, frozen), held(self.position, frozen)
        tokens = torch.cat(
            (
                readout.expand(members, batch, 1, width),
                seen.view(members, batch, -1, width),
                acted.view(members, batch, self.horizon, width),
            ),
            dim=2,
        )
        count = tokens.shape[2]
        x = (tokens + position).flatten(1, 2)
        for index, layer in enumerate(self.layers):
            answers = 1 if index == len(self.layers) - 1 else count  # only the readout is read in the end
            x = layer(x, count, answers, frozen)
        return self.head(F.layer_norm(x, (width,)), frozen)

    def members_parameters(self) -> list[nn.Parameter]:
        """Weights that L_Q trains: all but those of the forward model."""
        return [p for name, p in self.named_parameters() if not name.startswith("model.")]

    def candidate_values(self, observation: Tensor, chunks: Tensor) -> Tensor:
        """min_e Q_e (B, N) of N chunks (B, N, h, A) for every observation (B, P + images)."""
        count = chunks.shape[1]
        logits = self(observation.repeat_interleave(count, dim=0), chunks.flatten(0, 1))
        return self.value(logits).unflatten(0, (-1, count))

    def value(self, logits: Tensor) -> Tensor:
        """Logits (E, B, bins) to the conservative estimate min_e Q_e, (B,)."""
        return self.histogram.mean(logits).amin(dim=0)
