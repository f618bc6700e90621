"""The policy: observation encoder, flow and normalizers in one module that speaks contract space."""

from dataclasses import dataclass

import torch
from torch import Tensor, nn

from soft_flow_contract.task_specification import TaskSpecification
from soft_flow_policy.action_normalizer import ActionNormalizer
from soft_flow_policy.chunk_denoiser import ChunkDenoiser
from soft_flow_policy.flow import ConditionalFlow
from soft_flow_policy.observation_encoder import Augmentation, ObservationBatch, ObservationEncoder
from soft_flow_policy.policy_config import FlowPolicyConfig

PREVIOUS_ACTION_FIELD = "last_action"


@dataclass(frozen=True)
class ChunkSample:
    """Sampled chunks.

    actions: (B, T, A) contract space, not clipped.
    log_prob: (B,) exact log density of exactly these actions, contract space, temperature 1, nats.
    """

    actions: Tensor
    log_prob: Tensor


class FlowPolicy(nn.Module):
    """pi(chunk | observation). See `ObservationBatch` for what an observation is.

    Example:
        policy = FlowPolicy(FlowPolicyConfig(), specification)
        policy.fit_normalizers(proprioception, chunks)
        loss = policy.nll(observation, chunks, generator).mean()
        chunk = policy.sample(observation, temperature=0.5).actions
    """

    def __init__(self, config: FlowPolicyConfig, specification: TaskSpecification) -> None:
        """A policy for a task, with random weights.

        Raises:
            ValueError: a field, camera or shape that the task does not have.
        """
        super().__init__()
        self.config, self.specification = config, specification
        self.length, self.dimension = specification.chunk.length, specification.action_dimension
        self.encoder = ObservationEncoder(
            specification,
            config.proprioception_fields,
            config.cameras,
            config.image,
            config.context_width,
            config.proprioception_noise,
        )
        self.flow = ConditionalFlow(config.flow, self.length, self.dimension, config.context_width)
        self.normalizer = ActionNormalizer(self.length, self.dimension)
        self.denoiser = ChunkDenoiser(self.length, self.dimension)
        self._previous = specification.proprioception_slices.get(PREVIOUS_ACTION_FIELD)

    @torch.no_grad()
    def fit_normalizers(self, proprioception: Tensor, chunks: Tensor) -> None:
        """Fit normalizers and denoiser to the data of imitation, once; they are frozen from then on.

        Args:
            proprioception: (N, P), the whole vector at the start of each chunk.
            chunks: (N, T, A), contract space.

        Raises:
            ValueError: shapes do not fit the specification, or values are not finite.
        """
        self._require_chunks(chunks)
        self.encoder.proprioception.fit(proprioception)
        self.normalizer.fit(chunks)
        self.flow.fit_base(self.normalizer.to_model(chunks), self.config.dequantization)
        if self._previous is not None and self.config.dequantization * self.config.denoising > 0:
            previous = self.normalizer.to_model(proprioception[:, self._previous])
            sigma = self.config.denoising * self.config.dequantization
            self.denoiser.fit(self.normalizer.to_model(chunks), previous, sigma)

    def _require_chunks(self, chunks: Tensor) -> None:
        if chunks.shape[1:] != (self.length, self.dimension):
            raise ValueError(
                f"chunks: expected shape (N, {self.length}, {self.dimension}), got {tuple(chunks.shape)}; "
                "cut them with the task's chunk.length"
            )

    def encode(self, observation: ObservationBatch, augmentation: Augmentation | None = None) -> Tensor:
        """Observations to contexts (B, context_width)."""
        return self.encoder(observation, augmentation)

    def nll(
        self,
        observation: ObservationBatch,
        chunks: Tensor,
        generator: torch.Generator | None = None,
        augment: bool = True,
    ) -> Tensor:
        """Loss of imitation, (B,): -log pi(a + sigma eps | o) / (T A), nats a dimension, in model space.

        Args:
            observation: B observations.
            chunks: (B, T, A) data chunks, contract space.
            generator: draws crops and dequantization noise; same state, same loss.
            augment: random crops; otherwise centred ones.
        """
        augmentation = self.encoder.draw_augmentation(chunks.shape[0], generator) if augment else None
        return self.nll_given_context(self.encode(observation, augmentation), chunks, generator)

    def nll_given_context(
        self, context: Tensor, chunks: Tensor, generator: torch.Generator | None = None
    ) -> Tensor:
        """As `nll`, for contexts (B, C) that are already computed."""
        self._require_chunks(chunks)
        noise = torch.randn(chunks.shape, generator=generator, dtype=chunks.dtype, device=chunks.device)
        noisy = torch.add(self.normalizer.to_model(chunks), noise, alpha=self.config.dequantization)
        return -self.flow.log_prob(noisy, context) / (self.length * self.dimension)

    def log_prob(self, observation: ObservationBatch, chunks: Tensor) -> Tensor:
        """Exact log density (B,) of chunks (B, T, A) in contract space, nats."""
        return self.log_prob_given_context(self.encode(observation), chunks)

    def log_prob_given_context(self, context: Tensor, chunks: Tensor) -> Tensor:
        """As `log_prob`, for contexts (B, C) that are already computed."""
        return self.flow.log_prob(self.normalizer.to_model(chunks), context) + self.normalizer.log_det()

    def sample(
        self,
        observation: ObservationBatch,
        temperature: float | Tensor = 1.0,
        noise: Tensor | None = None,
        generator: torch.Generator | None = None,
        denoise: bool = False,
    ) -> ChunkSample:
        """Sample a chunk for every observation; differentiable.

        Args:
            observation: B observations.
            temperature: factor on the base variable; 1 samples the density itself.
            noise: (B, T, A) standard normal; drawn with `generator` if None.
            generator: draws the noise.
            denoise: remove the dequantization noise, for execution; log_prob is that of the denoised chunk.
        """
        context = self.encode(observation)
        previous = self.previous_action(observation) if denoise else None
        return self.sample_given_context(context, temperature, noise, generator, previous)

    def previous_action(self, observation: ObservationBatch) -> Tensor | None:
        """The action (B, A) executed before the observation, contract space; None if not in the task."""
        return None if self._previous is None else observation["proprioception"][:, self._previous]

    def sample_given_context(
        self,
        context: Tensor,
        temperature: float | Tensor = 1.0,
        noise: Tensor | None = None,
        generator: torch.Generator | None = None,
        previous_action: Tensor | None = None,
    ) -> ChunkSample:
        """As `sample`, for contexts (..., C); denoised if `previous_action` is given, (..., A)."""
        chunk, log_prob = self.flow.sample(context, temperature, noise, generator)
        if previous_action is not None:
            chunk = self.denoiser(chunk, self.normalizer.to_model(previous_action))
            log_prob = self.flow.log_prob(chunk, context)
        return ChunkSample(self.normalizer.to_contract(chunk), log_prob + self.normalizer.log_det())
