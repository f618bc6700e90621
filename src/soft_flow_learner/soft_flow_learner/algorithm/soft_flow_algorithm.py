"""SOFT-FLOW (arXiv 2602.09580): the losses of actor and critic, and the update.

With o an observation, a a chunk of which the first h actions are executed, m <= h the executed steps until
the episode ends, d = 1 if it truly terminated within them:

    critic   y = sum_(k<m) gamma^k r_(t+k) + gamma^m (1 - d) min_e Qbar_e(o_(t+m), a'),   a' ~ pi(o_(t+m))
             y >= sum_k gamma^k r_(t+k) to the end of the episode, if `return_floor`
             L_Q = CE(HL-Gauss(y), Q_e(o_t, a_t..t+h-1))
    model    L_M = E 1[m = h] mean |f(o_t, a_t..t+h-1) - o_(t+h)|^2 of proprioception;
             Q_e sees f(o_t, a_t..t+h-1) in its place
    actor    L_pi = - lambda E[min_e Q_e(o, a_pi)] + beta E[w -log pi(a_data + sigma eps | o)] / (T A)
                    + E|a_pi - clip(a_pi)|^2 + alpha log pi(a_pi | o) / (T A) + trust KL(pi_0 || pi) / (T A)
                    + choice E[-log pi(a* + sigma eps | o)] / (T A)
             lambda = q_weight / max(mean |Q|, 0.05)
             a* = argmax min_e Q_e(o, a_n) of N chunks a_n ~ pi(o)

Chunks are clipped to the box, in contract space, where the critic sees them, and denoised as they are when
they are executed: data and policy mean the same to it.
"""

import copy
from collections.abc import Iterator

import torch
from torch import Tensor, nn

from soft_flow_learner.algorithm.algorithm_config import AlgorithmConfig, Objective
from soft_flow_learner.algorithm.chunk_critic import ChunkCritic
from soft_flow_learner.algorithm.freed_memory import keep_freed_memory
from soft_flow_learner.algorithm.learner_batch import LearnerBatch
from soft_flow_learner.algorithm.two_threads import half_the_threads
from soft_flow_learner.algorithm.update_gradients import UpdateGradients
from soft_flow_learner.training.compute import ALONE, Compute
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
        seen = (self.scale.dimension, policy.encoder.image_feature_count)
        self.critic = ChunkCritic(config.critic, *seen, self.horizon, specification.action_dimension)
        self.target = copy.deepcopy(self.critic).requires_grad_(False)
        self.average = copy.deepcopy(policy).requires_grad_(False)
        self.reference: FlowPolicy | None = None  # the actor at the start of the stage
        self.compute = ALONE

    def critic_input(self, proprioception: Tensor, image_features: Tensor) -> Tensor:
        """What the critic sees: normalized proprioception, and the actor's image features."""
        return torch.cat((self.scale.normalize(proprioception), image_features.detach()), dim=1)

    def act(self, context: Tensor, observation: ObservationBatch, generator: torch.Generator) -> Tensor:
        """The policy's chunks (B, T, A) as they would be executed but for the clipping; differentiable."""
        previous = self.policy.previous_action(observation)
        chunk, _ = self.policy.flow.sample(context, self.config.temperature, generator=generator)
        if previous is not None:
            chunk = self.policy.denoiser(chunk, self.policy.normalizer.to_model(previous))
        return self.policy.normalizer.to_contract(chunk)

    def target_value(self, batch: LearnerBatch, generator: torch.Generator) -> Tensor:
        """The target y (B,), see above."""
        return self.value_after(batch, *self.act_after(batch, generator))

    @torch.no_grad()
    def act_after(self, batch: LearnerBatch, generator: torch.Generator) -> tuple[Tensor, Tensor]:
        """What the critic sees after the window (B, F), and a' (B, h, A), clipped."""
        observation = batch.next_observation
        images = self.policy.encoder.image_features(observation)
        context = self.policy.encoder.context(observation["proprioception"], images)
        actions = self.act(context, observation, generator)[:, : self.horizon].clamp(-1, 1)
        return self.critic_input(observation["proprioception"], images), actions

    @torch.no_grad()
    def value_after(self, batch: LearnerBatch, features: Tensor, actions: Tensor) -> Tensor:
        """The target y (B,), given what `act_after` returns."""
        value = batch.reward + batch.bootstrap * self.target.value(self.target(features, actions))
        return torch.maximum(value, batch.observed_return) if self.config.return_floor else value

    def foresee(self, features: Tensor, batch: LearnerBatch) -> Tensor:
        """What the critic sees (B, F) when the batch's chunks begin, to what its members see, (B, F).

        Its gradient is the forward model's.
        """
        return self.critic.foresee(features, batch.executed.clamp(-1, 1))

    def critic_loss(self, foreseen: Tensor, batch: LearnerBatch, target: Tensor) -> tuple[Tensor, Tensor]:
        """L_Q, averaged over batch and members, and min_e Q_e of the data (B,), see `foresee`."""
        logits = self.critic.judge(foreseen.detach(), batch.executed.clamp(-1, 1))
        wanted = self.critic.histogram.probabilities(target)
        loss = -(wanted * torch.log_softmax(logits, dim=-1)).sum(-1).mean()
        return loss, self.critic.value(logits.detach())

    def model_loss(self, foreseen: Tensor, later: Tensor, batch: LearnerBatch) -> Tensor | None:
        """L_M, given what was foreseen (B, F), see `foresee`, and what came, as the critic sees it.

        None if the critic has no forward model.
        """
        if self.critic.model is None:
            return None
        ahead, then = (seen[:, : self.scale.dimension] for seen in (foreseen, later))
        return ((batch.steps == self.horizon) * (ahead - then).square().mean(dim=1)).mean()

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
                size = self.compute.mean(value.detach().abs().mean())
                scale = objective.q_weight / max(float(size), SMALLEST_Q)
                loss = loss - scale * value.mean()
                value = value.detach()
                metrics |= {"q_policy": float(value.mean()), "lambda": scale}
        if objective.choice_weight > 0:
            chosen, gain = self.choose(features, context, batch.observation, objective, generator)
            nll = self.policy.nll_given_context(context, chosen, generator).mean()
            loss = loss + objective.choice_weight * nll
            metrics |= {"choice": float(nll.detach()), "choice_gain": gain}
        if objective.entropy_weight > 0:
            chunk, log_prob = self.policy.flow.sample(context, 1.0, generator=generator)
            loss = loss + objective.entropy_weight * log_prob.mean() / self.numbers
        return loss, value, metrics

    @torch.no_grad()
    def choose(
        self,
        features: Tensor,
        context: Tensor,
        observation: ObservationBatch,
        objective: Objective,
        generator: torch.Generator,
    ) -> tuple[Tensor, float]:
        """Of some of the policy's chunks those (B, T, A) that the critic values most, and by how much."""
        count = objective.choices
        repeated = ObservationBatch(
            proprioception=observation["proprioception"].repeat_interleave(count, dim=0), images={}
        )
        chunks = self.act(context.repeat_interleave(count, dim=0), repeated, generator).clamp(-1, 1)
        chunks = chunks.unflatten(0, (-1, count))
        values = self.critic.candidate_values(features, chunks[:, :, : self.horizon])
        gain = float((values.amax(dim=1) - values.mean(dim=1)).mean())
        return chunks[torch.arange(len(chunks), device=chunks.device), values.argmax(dim=1)], gain

    def likelihood_loss(
        self,
        context: Tensor,
        batch: LearnerBatch,
        objective: Objective,
        generator: torch.Generator,
        data_value: Tensor | None = None,
        value: Tensor | None = None,
    ) -> tuple[Tensor, Metrics]:
        """The terms of L_pi that keep to data, and to the policy as it was.

        `data_value` and `value` (B,), of the data's and the policy's chunks, weight the likelihood if it is
        weighted by advantages.
        """
        weight = self._likelihood_weight(batch, objective, data_value, value)
        nll = self.policy.nll_given_context(context, batch.chunk, generator)
        processes = self.compute.processes
        count = self.compute.mean(weight.sum()) * processes  # of the whole batch
        data = (weight * nll).sum() / (count.clamp_min(1.0) / processes)
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

    def __init__(self, algorithm: SoftFlow, objective: Objective, compute: Compute = ALONE) -> None:
        """Begin a stage with this objective: fresh moments, and a copy of the actor to keep to if wanted."""
        self.algorithm, self.objective = algorithm.to(compute.device), objective
        self.compute = algorithm.compute = compute
        config = algorithm.config
        algorithm.reference = None
        if objective.trust_weight > 0:
            algorithm.reference = copy.deepcopy(algorithm.policy).eval().requires_grad_(False)
        algorithm.policy.requires_grad_(objective.train_actor)
        algorithm.policy.encoder.cameras.requires_grad_(
            objective.train_actor and not objective.freeze_cameras
        )
        self.actor = [p for p in algorithm.policy.parameters() if p.requires_grad]
        critic = algorithm.critic
        self.critic = critic.members_parameters() if objective.train_critic else []
        self.model = list(critic.model.parameters()) if objective.train_critic and critic.model else []
        groups = [
            {"params": self.actor, "lr": objective.actor_learning_rate},
            {"params": self.critic, "lr": objective.critic_learning_rate},
            {"params": self.model, "lr": objective.model_learning_rate},
        ]
        self.optimizer = torch.optim.AdamW(
            [group for group in groups if group["params"]], weight_decay=config.weight_decay, fused=True
        )
        self._gradients = UpdateGradients(algorithm, objective, self.actor)
        keep_freed_memory()
        self._averaged = _trained(algorithm.average, algorithm.policy)
        self._followers: tuple[list[Tensor], list[Tensor]] = (
            list(algorithm.target.parameters()),
            list(algorithm.critic.parameters()),
        )

    def update(self, batch: LearnerBatch, generator: torch.Generator) -> Metrics:
        """One step on a batch; a loss that is not finite leaves all weights as they are."""
        algorithm = self.algorithm
        with self.compute.autocast():
            metrics = self.compute.mean_metrics(self.gradients(batch, generator))
        trained = {"actor": self.actor, "critic": self.critic, "model": self.model}
        self.compute.average_gradients([weight for weights in trained.values() for weight in weights])
        with half_the_threads():  # many small operations
            for name, parameters in trained.items():
                if parameters:
                    norm = nn.utils.clip_grad_norm_(parameters, algorithm.config.gradient_clip, foreach=True)
                    metrics[f"{name}_gradient"] = float(norm)
            if all(value == value and abs(value) != float("inf") for value in metrics.values()):
                self._step()
        return metrics

    def _step(self) -> None:
        """Let the optimizer change the weights, and what follows them follow."""
        objective, config = self.objective, self.algorithm.config
        self.optimizer.step()
        with torch.no_grad():
            if objective.train_critic:
                torch._foreach_lerp_(*self._followers, config.target_rate)
            if objective.train_actor:
                torch._foreach_lerp_(*self._averaged, 1 - config.average_decay)

    def gradients(self, batch: LearnerBatch, generator: torch.Generator) -> Metrics:
        """Gradients of L_Q + L_pi in `grad` of all trained weights; neither's reaches the other's weights."""
        self.optimizer.zero_grad(set_to_none=True)
        return self._gradients.add(batch, generator)


def _trained(average: FlowPolicy, policy: FlowPolicy) -> tuple[list[Tensor], list[Tensor]]:
    """Parameters of the average and of the policy, in the same order."""
    pairs: Iterator[tuple[Tensor, Tensor]] = zip(average.parameters(), policy.parameters(), strict=True)
    kept = [(a, p) for a, p in pairs if p.requires_grad]
    return [a for a, _ in kept], [p for _, p in kept]
