"""SOFT-FLOW (arXiv 2602.09580): the losses of actor and critic, and the update.

With o an observation, a a chunk of which the first h actions are executed, m <= h the executed steps until
the episode ends, d = 1 if it truly terminated within them:

    critic   y = sum_(k<m) gamma^k r_(t+k) + gamma^m (1 - d) min_e Qbar_e(o_(t+m), a'),   a' ~ pi(o_(t+m))
             L_Q = CE(HL-Gauss(y), Q_e(o_t, a_t..t+h-1))
    actor    L_pi = - lambda E[min_e Q_e(o, a_pi)] + beta E[w -log pi(a_data + sigma eps | o)] / (T A)
                    + E|a_pi - clip(a_pi)|^2 + alpha log pi(a_pi | o) / (T A) + trust KL(pi_0 || pi) / (T A)
             lambda = q_weight / max(mean |Q|, 0.05)

Chunks are clipped to the box, in contract space, where the critic sees them, and denoised as they are when
they are executed: data and policy mean the same to it.
"""

import copy
from collections.abc import Iterator, Sequence

import torch
from torch import Tensor, nn

from soft_flow_learner.algorithm.algorithm_config import AlgorithmConfig, Objective
from soft_flow_learner.algorithm.chunk_critic import ChunkCritic
from soft_flow_learner.algorithm.learner_batch import LearnerBatch
from soft_flow_learner.algorithm.two_threads import TwoThreads
from soft_flow_policy.observation_encoder import ObservationBatch
from soft_flow_policy.policy import FlowPolicy
from soft_flow_policy.proprioception_encoder import ProprioceptionEncoder

SMALLEST_Q = 0.05  # below which lambda grows no further
Metrics = dict[str, float]


class SoftFlow(nn.Module):
    """Actor, critic, target critic, and the averaged actor that acts."""

    def __init__(self, policy: FlowPolicy, config: AlgorithmConfig) -> None:
        """Train `policy` (normalizers fitted) in place; the critic starts with random weights."""
        super().__init__()
        specification = policy.specification
        self.config, self.policy = config, policy
        self.horizon = specification.chunk.executed
        self.numbers = specification.chunk.length * specification.action_dimension
        every = tuple(specification.proprioception_slices)
        self.scale = ProprioceptionEncoder(specification, every, 1).requires_grad_(False)
        features = self.scale.dimension + policy.encoder.image_feature_count
        self.critic = ChunkCritic(config.critic, features, self.horizon, specification.action_dimension)
        self.target = copy.deepcopy(self.critic).requires_grad_(False)
        self.average = copy.deepcopy(policy).requires_grad_(False)
        self.reference: FlowPolicy | None = None  # the actor at the start of the stage

    def critic_input(self, proprioception: Tensor, image_features: Tensor) -> Tensor:
        """What the critic sees: all proprioception, normalized, and the actor's image features."""
        return torch.cat((self.scale.normalize(proprioception), image_features.detach()), dim=1)

    def act(self, context: Tensor, observation: ObservationBatch, generator: torch.Generator) -> Tensor:
        """The policy's chunks (B, T, A) as they would be executed but for the clipping; differentiable."""
        previous = self.policy.previous_action(observation)
        chunk, _ = self.policy.flow.sample(context, self.config.temperature, generator=generator)
        if previous is not None:
            chunk = self.policy.denoiser(chunk, self.policy.normalizer.to_model(previous))
        return self.policy.normalizer.to_contract(chunk)

    @torch.no_grad()
    def target_value(self, batch: LearnerBatch, generator: torch.Generator) -> Tensor:
        """The target y (B,), see above."""
        observation = batch.next_observation
        images = self.policy.encoder.image_features(observation)
        context = self.policy.encoder.context(observation["proprioception"], images)
        actions = self.act(context, observation, generator)[:, : self.horizon].clamp(-1, 1)
        logits = self.target(self.critic_input(observation["proprioception"], images), actions)
        return batch.reward + batch.bootstrap * self.target.value(logits)

    def critic_loss(self, features: Tensor, batch: LearnerBatch, target: Tensor) -> tuple[Tensor, Tensor]:
        """L_Q, averaged over batch and members, and min_e Q_e of the data (B,)."""
        logits = self.critic(features, batch.executed.clamp(-1, 1))
        wanted = self.critic.histogram.probabilities(target)
        loss = -(wanted * torch.log_softmax(logits, dim=-1)).sum(-1).mean()
        return loss, self.critic.value(logits.detach())

    def improvement_loss(
        self,
        features: Tensor,
        context: Tensor,
        batch: LearnerBatch,
        objective: Objective,
        generator: torch.Generator,
    ) -> tuple[Tensor, Tensor | None, Metrics]:
        """The terms of L_pi in the policy's own chunks, and their values min_e Q_e (B,) where they count."""
        metrics: Metrics = {}
        loss, value = context.new_zeros(()), None
        if objective.q_weight > 0 or objective.box_weight > 0 or objective.advantage_temperature > 0:
            actions = self.act(context, batch.observation, generator)
            clipped = actions.clamp(-1, 1)
            box = (actions - clipped).square().mean()
            loss = loss + objective.box_weight * box
            metrics["box"] = float(box.detach())
            if objective.q_weight > 0 or objective.advantage_temperature > 0:
                value = self.critic.value(self.critic(features, clipped[:, : self.horizon], frozen=True))
                scale = objective.q_weight / max(float(value.detach().abs().mean()), SMALLEST_Q)
                loss = loss - scale * value.mean()
                value = value.detach()
                metrics |= {"q_policy": float(value.mean()), "lambda": scale}
        if objective.entropy_weight > 0:
            chunk, log_prob = self.policy.flow.sample(context, 1.0, generator=generator)
            loss = loss + objective.entropy_weight * log_prob.mean() / self.numbers
        return loss, value, metrics

    def likelihood_loss(
        self,
        context: Tensor,
        batch: LearnerBatch,
        objective: Objective,
        generator: torch.Generator,
        weight: Tensor,
    ) -> tuple[Tensor, Metrics]:
        """The terms of L_pi that keep to data, weighted by w (B,), and to the policy as it was."""
        nll = self.policy.nll_given_context(context, batch.chunk, generator)
        data = (weight * nll).sum() / weight.sum().clamp_min(1.0)
        loss = objective.beta * data
        metrics = {"nll": float(data.detach())}
        if objective.trust_weight > 0 and self.reference is not None:
            trust = self._trust(context, batch.observation, generator)
            loss = loss + objective.trust_weight * trust
            metrics["trust"] = float(trust.detach())
        return loss, metrics

    def _likelihood_weight(
        self, batch: LearnerBatch, objective: Objective, data_value: Tensor | None, value: Tensor | None
    ) -> Tensor:
        """Weights w (B,): 1 or `failure_weight`, by the episode; times exp(advantage / temperature)."""
        weight = batch.imitated + objective.failure_weight * (1 - batch.imitated)
        if objective.advantage_temperature == 0 or data_value is None or value is None:
            return weight
        advantage = (data_value - value.detach()) / objective.advantage_temperature
        return weight * torch.exp(advantage).clamp_max(objective.advantage_limit)

    def _trust(self, context: Tensor, observation: ObservationBatch, generator: torch.Generator) -> Tensor:
        """KL(pi_0 || pi) / (T A), estimated in exact likelihoods at one sample of pi_0 an observation."""
        reference = self.reference
        assert reference is not None
        with torch.no_grad():
            before = reference.encode(observation)
            chunk, log_before = reference.flow.sample(before, 1.0, generator=generator)
        return (log_before - self.policy.flow.log_prob(chunk, context)).mean() / self.numbers


class SoftFlowUpdate:
    """One optimizer over actor and critic, the target and the averaged actor that follow them."""

    def __init__(self, algorithm: SoftFlow, objective: Objective) -> None:
        """Begin a stage with this objective: fresh moments, and a copy of the actor to keep to if wanted."""
        self.algorithm, self.objective = algorithm, objective
        config = algorithm.config
        algorithm.reference = None
        if objective.trust_weight > 0:
            algorithm.reference = copy.deepcopy(algorithm.policy).eval().requires_grad_(False)
        algorithm.policy.requires_grad_(objective.train_actor)
        algorithm.policy.encoder.cameras.requires_grad_(
            objective.train_actor and not objective.freeze_cameras
        )
        self.actor = [p for p in algorithm.policy.parameters() if p.requires_grad]
        self.critic = list(algorithm.critic.parameters()) if objective.train_critic else []
        groups = [
            {"params": self.actor, "lr": objective.actor_learning_rate},
            {"params": self.critic, "lr": objective.critic_learning_rate},
        ]
        self.optimizer = torch.optim.AdamW(
            [group for group in groups if group["params"]], weight_decay=config.weight_decay, fused=True
        )
        self._threads = TwoThreads()
        self._averaged = _trained(algorithm.average, algorithm.policy)
        self._followers: tuple[list[Tensor], list[Tensor]] = (
            list(algorithm.target.parameters()),
            list(algorithm.critic.parameters()),
        )

    def update(self, batch: LearnerBatch, generator: torch.Generator) -> Metrics:
        """One step on a batch; a loss that is not finite leaves all weights as they are."""
        objective, algorithm = self.objective, self.algorithm
        metrics = self.gradients(batch, generator)
        for name, parameters in (("actor", self.actor), ("critic", self.critic)):
            if parameters:
                norm = nn.utils.clip_grad_norm_(parameters, algorithm.config.gradient_clip, foreach=True)
                metrics[f"{name}_gradient"] = float(norm)
        if all(value == value and abs(value) != float("inf") for value in metrics.values()):
            self.optimizer.step()
            with torch.no_grad():
                if objective.train_critic:
                    torch._foreach_lerp_(*self._followers, algorithm.config.target_rate)
                if objective.train_actor:
                    torch._foreach_lerp_(*self._averaged, 1 - algorithm.config.average_decay)
        return metrics

    def gradients(self, batch: LearnerBatch, generator: torch.Generator) -> Metrics:
        """Gradients of L_Q + L_pi, in `grad` of all trained weights; neither's reaches the other's weights.

        Critic and likelihood on the one hand, the policy's own chunks on the other are computed side by side,
        each with random numbers of its own stream.
        """
        objective, algorithm = self.objective, self.algorithm
        encoder, observation = algorithm.policy.encoder, batch.observation
        self.optimizer.zero_grad(set_to_none=True)
        augmentation = encoder.draw_augmentation(len(batch.chunk), generator)
        images = encoder.image_features(observation, augmentation)
        features = algorithm.critic_input(observation["proprioception"], images)
        streams = _fork(generator, 3)
        if not objective.train_actor:
            loss, _, metrics = self._critic_gradients(features, batch, streams[0])
            return metrics | {"loss": loss}
        context = encoder.context(observation["proprioception"], images, augmentation)
        leaf = context.detach().requires_grad_()

        def improve() -> Improvement:
            return self._improvement_gradients(features, leaf, batch, streams[1])

        with self._threads.beside(improve) as improvement:
            loss, data_value, metrics = self._critic_gradients(features, batch, streams[0])
            value = improvement()[1] if objective.advantage_temperature > 0 else None
            weight = algorithm._likelihood_weight(batch, objective, data_value, value)
            data, data_metrics = algorithm.likelihood_loss(leaf, batch, objective, streams[2], weight)
            data.backward()
        improvement_loss, _, improvement_metrics, gradients = improvement()
        _accumulate([leaf, *self.actor], gradients)
        context.backward(leaf.grad)
        metrics |= improvement_metrics | data_metrics
        return metrics | {"loss": loss + improvement_loss + float(data.detach())}

    def _critic_gradients(
        self, features: Tensor, batch: LearnerBatch, generator: torch.Generator
    ) -> tuple[float, Tensor | None, Metrics]:
        """L_Q and its gradients, and min_e Q_e (B,) of the data."""
        algorithm = self.algorithm
        if not self.objective.train_critic:
            return 0.0, None, {}
        target = algorithm.target_value(batch, generator)
        loss, data_value = algorithm.critic_loss(features, batch, target)
        loss.backward()
        metrics = {
            "critic": float(loss.detach()),
            "q_data": float(data_value.mean()),
            "target": float(target.mean()),
            "target_outside": float(algorithm.critic.histogram.outside(target)),
        }
        return metrics["critic"], data_value, metrics

    def _improvement_gradients(
        self, features: Tensor, context: Tensor, batch: LearnerBatch, generator: torch.Generator
    ) -> "Improvement":
        """Loss, values (B,) and gradients, in the order context and actor, None where there is none."""
        loss, value, metrics = self.algorithm.improvement_loss(
            features, context, batch, self.objective, generator
        )
        wanted = [context, *self.actor]
        if not loss.requires_grad:
            return 0.0, value, metrics, [None] * len(wanted)
        gradients = torch.autograd.grad(loss, wanted, allow_unused=True)
        return float(loss.detach()), value, metrics, gradients


Improvement = tuple[float, Tensor | None, Metrics, Sequence[Tensor | None]]


def _fork(generator: torch.Generator, count: int) -> list[torch.Generator]:
    """Generators on a CPU whose streams follow from the state of this one."""
    seeds = torch.randint(2**62, (count,), generator=generator, device=generator.device).tolist()
    return [torch.Generator(generator.device).manual_seed(seed) for seed in seeds]


def _accumulate(leaves: list[Tensor], gradients: Sequence[Tensor | None]) -> None:
    for leaf, gradient in zip(leaves, gradients, strict=True):
        if gradient is not None:
            leaf.grad = gradient if leaf.grad is None else leaf.grad.add_(gradient)


def _trained(average: FlowPolicy, policy: FlowPolicy) -> tuple[list[Tensor], list[Tensor]]:
    """Parameters of the average and of the policy, in the same order."""
    pairs: Iterator[tuple[Tensor, Tensor]] = zip(average.parameters(), policy.parameters(), strict=True)
    kept = [(a, p) for a, p in pairs if p.requires_grad]
    return [a for a, _ in kept], [p for _, p in kept]
