"""The learner's rival: the same update of the same method, as one would write it in PyTorch at first.

The conditioner sees all 16 tokens, multiplied by the mask, attention and MLP one after the other; every
member of the critic is a module of its own; every loss encodes its observations itself; actor and critic have
an AdamW each. Blocks, width, heads, layers, MLP ratio, losses and the numbers around them (normalizers,
denoiser, observation encoder, histograms) are those of the learner.
"""

import copy
import itertools

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from soft_flow_learner.algorithm.algorithm_config import AlgorithmConfig, Objective
from soft_flow_learner.algorithm.chunk_critic import CriticConfig
from soft_flow_learner.algorithm.forward_model import ForwardModel
from soft_flow_learner.algorithm.histogram_value import HistogramValue
from soft_flow_learner.algorithm.learner_batch import LearnerBatch
from soft_flow_policy.flow import FlowConfig
from soft_flow_policy.observation_encoder import ObservationBatch
from soft_flow_policy.policy import FlowPolicy
from soft_flow_policy.proprioception_encoder import ProprioceptionEncoder


def make_masks(blocks: int, length: int, dimension: int) -> Tensor:
    """1 where a number passes through, (blocks, T, A): time parity, dimension parity, halves, both ways."""
    time = torch.arange(length).unsqueeze(1).expand(length, dimension)
    number = torch.arange(dimension).expand(length, dimension)
    patterns = (time % 2, number % 2, (time >= length // 2).long())
    both = [mask for pattern in patterns for mask in (1 - pattern, pattern)]
    return torch.stack([both[index % len(both)] for index in range(blocks)]).float()


class MaskedCoupling(nn.Module):
    """An affine coupling whose transformer sees the whole chunk with the transformed numbers set to zero."""

    def __init__(self, mask: Tensor, config: FlowConfig, context_width: int) -> None:
        super().__init__()
        length, dimension = mask.shape
        width = config.width
        self.mask: Tensor
        self.register_buffer("mask", mask)
        self.embed = nn.Linear(dimension, width)
        self.position = nn.Parameter(0.1 * torch.randn(length, width))
        self.modulation = nn.Sequential(nn.SiLU(), nn.Linear(context_width, 4 * width))
        self.attention = nn.MultiheadAttention(width, config.heads, batch_first=True)
        hidden = config.mlp_ratio * width
        self.mlp = nn.Sequential(nn.Linear(width, hidden), nn.SiLU(), nn.Linear(hidden, width))
        self.norms = nn.ModuleList(nn.LayerNorm(width, elementwise_affine=False) for _ in range(3))
        self.head = nn.Linear(width, 2 * dimension)
        nn.init.zeros_(self.head.weight)
        nn.init.zeros_(self.head.bias)

    def scale_and_shift(self, chunk: Tensor, context: Tensor) -> tuple[Tensor, Tensor]:
        """Log scale and shift (B, T, A), zero where the mask is one."""
        first_scale, first_shift, second_scale, second_shift = (
            self.modulation(context).unsqueeze(1).chunk(4, dim=-1)
        )
        x = self.embed(chunk * self.mask) + self.position
        normed = self.norms[0](x) * (1 + first_scale) + first_shift
        x = x + self.attention(normed, normed, normed, need_weights=False)[0]
        x = x + self.mlp(self.norms[1](x) * (1 + second_scale) + second_shift)
        scale, shift = self.head(self.norms[2](x)).chunk(2, dim=-1)
        return torch.tanh(scale) * (1 - self.mask), shift * (1 - self.mask)


class MaskedFlow(nn.Module):
    """The flow of such couplings, with a static affine map at its base."""

    def __init__(self, config: FlowConfig, length: int, dimension: int, context_width: int) -> None:
        super().__init__()
        self.length, self.dimension = length, dimension
        masks = make_masks(config.blocks, length, dimension)
        self.blocks = nn.ModuleList(MaskedCoupling(mask, config, context_width) for mask in masks)
        self.log_scale = nn.Parameter(torch.zeros(length, dimension))
        self.bias = nn.Parameter(torch.zeros(length, dimension))

    def log_prob(self, chunk: Tensor, context: Tensor) -> Tensor:
        """Log density (B,) of chunks (B, T, A)."""
        log_det = self.log_scale.sum()
        for block in self.blocks:
            scale, shift = block.scale_and_shift(chunk, context)
            chunk = chunk * scale.exp() + shift
            log_det = log_det + scale.sum(dim=(1, 2))
        z = chunk * self.log_scale.exp() + self.bias
        return torch.distributions.Normal(0.0, 1.0).log_prob(z).sum(dim=(1, 2)) + log_det

    def sample(self, context: Tensor, temperature: float, generator: torch.Generator) -> Tensor:
        """Chunks (B, T, A)."""
        z = torch.randn((len(context), self.length, self.dimension), generator=generator)
        chunk = (z * temperature - self.bias) * torch.exp(-self.log_scale)
        for block in reversed(self.blocks):
            scale, shift = block.scale_and_shift(chunk, context)
            chunk = (chunk - shift) * torch.exp(-scale)
        return chunk


class CriticMember(nn.Module):
    """One transformer critic over [readout, observation tokens, action tokens]."""

    def __init__(self, config: CriticConfig, features: int, horizon: int, dimension: int) -> None:
        super().__init__()
        width = config.width
        self.width = width
        self.observation = nn.Sequential(
            nn.Linear(features, 2 * width),
            nn.SiLU(),
            nn.Linear(2 * width, config.observation_tokens * width),
        )
        self.action = nn.Linear(dimension, width)
        self.readout = nn.Parameter(0.1 * torch.randn(1, 1, width))
        self.position = nn.Parameter(0.1 * torch.randn(1 + config.observation_tokens + horizon, width))
        layer = nn.TransformerEncoderLayer(
            width,
            config.heads,
            config.mlp_ratio * width,
            dropout=0.0,
            activation=F.silu,
            batch_first=True,
            norm_first=True,
        )
        self.encoder = nn.TransformerEncoder(layer, config.layers, enable_nested_tensor=False)
        self.head = nn.Sequential(nn.LayerNorm(width), nn.Linear(width, config.value.bins))

    def forward(self, features: Tensor, actions: Tensor) -> Tensor:
        """Features (B, F) and actions (B, h, A) to logits (B, bins)."""
        batch = len(features)
        seen = self.observation(features).view(batch, -1, self.width)
        tokens = torch.cat((self.readout.expand(batch, 1, -1), seen, self.action(actions)), dim=1)
        logits: Tensor = self.head(self.encoder(tokens + self.position)[:, 0])
        return logits


class RivalLearner:
    """Actor, critic, their targets and optimizers, and the update."""

    def __init__(self, policy: FlowPolicy, config: AlgorithmConfig, objective: Objective) -> None:
        """A learner beside that of `policy`, whose normalizers and denoiser it shares."""
        specification = policy.specification
        self.policy, self.config, self.objective = policy, config, objective
        self.horizon = specification.chunk.executed
        self.encoder = copy.deepcopy(policy.encoder)
        self.scale = ProprioceptionEncoder(specification, tuple(specification.proprioception_slices), 1)
        self.flow = MaskedFlow(
            policy.config.flow, policy.length, policy.dimension, policy.config.context_width
        )
        seen = self.scale.dimension
        self.model = ForwardModel(seen, self.horizon, policy.dimension)
        self.critics = nn.ModuleList(
            CriticMember(config.critic, seen, self.horizon, policy.dimension)
            for _ in range(config.critic.members)
        )
        self.actor = nn.ModuleList((self.encoder, self.flow))
        self.targets = copy.deepcopy(self.critics).requires_grad_(False)
        self.average = copy.deepcopy(self.actor).requires_grad_(False)
        self.histogram = HistogramValue(config.critic.value)
        decay = config.weight_decay
        self.actor_optimizer = torch.optim.AdamW(
            self.actor.parameters(), lr=objective.actor_learning_rate, weight_decay=decay
        )
        self.critic_optimizer = torch.optim.AdamW(
            self.critics.parameters(), lr=objective.critic_learning_rate, weight_decay=decay
        )
        self.model_optimizer = torch.optim.AdamW(
            self.model.parameters(), lr=objective.model_learning_rate, weight_decay=decay
        )

    def act(self, observation: ObservationBatch, generator: torch.Generator) -> Tensor:
        """The policy's chunks (B, T, A), denoised, contract space, not clipped."""
        normalizer = self.policy.normalizer
        chunk = self.flow.sample(self.encoder(observation), self.config.temperature, generator)
        previous = self.policy.previous_action(observation)
        if previous is not None:
            chunk = self.policy.denoiser(chunk, normalizer.to_model(previous))
        return normalizer.to_contract(chunk)

    def foresee(self, observation: ObservationBatch, actions: Tensor) -> Tensor:
        """Normalized proprioception (B, D) after the actions, which a critic sees."""
        return self.model(self.scale.normalize(observation["proprioception"]), actions, frozen=True)

    def value(self, critics: nn.ModuleList, observation: ObservationBatch, actions: Tensor) -> Tensor:
        """The smallest member's value (B,)."""
        features = self.foresee(observation, actions)
        values = [self.histogram.mean(critic(features, actions)) for critic in critics]
        return torch.stack(values).amin(dim=0)

    def critic_loss(self, batch: LearnerBatch, generator: torch.Generator) -> Tensor:
        """Cross-entropy with the target's histogram."""
        with torch.no_grad():
            actions = self.act(batch.next_observation, generator)[:, : self.horizon].clamp(-1, 1)
            bootstrap = self.value(self.targets, batch.next_observation, actions)
            wanted = self.histogram.probabilities(batch.reward + batch.bootstrap * bootstrap)
        executed = batch.executed.clamp(-1, 1)
        features = self.foresee(batch.observation, executed)
        losses = [
            -(wanted * torch.log_softmax(critic(features, executed), dim=-1)).sum(-1)
            for critic in self.critics
        ]
        return torch.stack(losses).mean()

    def model_loss(self, batch: LearnerBatch) -> Tensor:
        """Squared error of the forward model where windows are whole."""
        whole = (batch.steps == self.horizon).float()
        now = self.scale.normalize(batch.observation["proprioception"])
        then = self.scale.normalize(batch.next_observation["proprioception"])
        miss = (self.model(now, batch.executed.clamp(-1, 1)) - then).square().mean(dim=1)
        return (whole * miss).mean()

    def actor_loss(self, batch: LearnerBatch, generator: torch.Generator) -> Tensor:
        """Value, distance from the box and likelihood, by the objective's weights."""
        objective = self.objective
        actions = self.act(batch.observation, generator)
        clipped = actions.clamp(-1, 1)
        value = self.value(self.critics, batch.observation, clipped[:, : self.horizon])
        scale = objective.q_weight / max(float(value.detach().abs().mean()), 0.05)
        chunk = self.policy.normalizer.to_model(batch.chunk)
        noise = torch.randn(chunk.shape, generator=generator)
        log_prob = self.flow.log_prob(
            chunk + self.policy.config.dequantization * noise, self.encoder(batch.observation)
        )
        nll = -log_prob / chunk[0].numel()
        box = (actions - clipped).square().mean()
        return (
            -scale * value.mean()
            + objective.box_weight * box
            + objective.beta * (batch.imitated * nll).sum() / batch.imitated.sum().clamp_min(1.0)
        )

    def update(self, batch: LearnerBatch, generator: torch.Generator) -> dict[str, float]:
        """One step of the critic, one of the actor, and of what follows them."""
        critic = self.critic_loss(batch, generator)
        self._step(self.critic_optimizer, self.critics, critic)
        self._step(self.model_optimizer, self.model, self.model_loss(batch))
        self.critics.requires_grad_(False)  # the actor's loss needs no gradient of the critic's weights
        actor = self.actor_loss(batch, generator)
        self._step(self.actor_optimizer, self.actor, actor)
        self.critics.requires_grad_(True)
        with torch.no_grad():
            for follower, leader, rate in itertools.chain(
                ((*pair, self.config.target_rate) for pair in _pairs(self.targets, self.critics)),
                ((*pair, 1 - self.config.average_decay) for pair in _pairs(self.average, self.actor)),
            ):
                follower.lerp_(leader, rate)
        return {"critic": critic.item(), "actor": actor.item()}

    def _step(self, optimizer: torch.optim.Optimizer, module: nn.Module, loss: Tensor) -> None:
        optimizer.zero_grad()
        loss.backward()
        nn.utils.clip_grad_norm_(module.parameters(), self.config.gradient_clip)
        optimizer.step()


def _pairs(followers: nn.Module, leaders: nn.Module) -> "zip[tuple[Tensor, Tensor]]":
    return zip(followers.parameters(), leaders.parameters(), strict=True)
