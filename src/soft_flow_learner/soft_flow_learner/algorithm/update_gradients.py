"""The gradients of an update, computed by two threads: which part where, and in which order.

    calling thread   a' of the target -> likelihood of data -> its gradients -> gradients of the critic
    beside           the policy's chunks, their values -> target, critic's loss -> gradients of the former

Every part has random numbers of its own stream, so that what is computed does not depend on who comes first.
"""

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

import torch
from torch import Tensor

from soft_flow_learner.algorithm.algorithm_config import Objective
from soft_flow_learner.algorithm.learner_batch import LearnerBatch
from soft_flow_learner.algorithm.two_threads import Submit, TwoThreads, at_once

if TYPE_CHECKING:
    from soft_flow_learner.algorithm.soft_flow_algorithm import Metrics, SoftFlow

Gradients = Sequence[Tensor | None]
CriticLoss = tuple[Tensor, Tensor, Tensor, Tensor | None]


class UpdateGradients:
    """Gradients of L_Q + L_pi; neither's reaches the other's weights."""

    def __init__(self, algorithm: "SoftFlow", objective: Objective, actor: Sequence[Tensor]) -> None:
        """`actor`: the weights of the policy that are trained."""
        self._algorithm, self._objective, self._actor = algorithm, objective, actor
        self._threads = TwoThreads()

    def add(self, batch: LearnerBatch, generator: torch.Generator) -> "Metrics":
        """Add the gradients of a batch to `grad` of all trained weights."""
        algorithm, observation = self._algorithm, batch.observation
        encoder = algorithm.policy.encoder
        augmentation = encoder.draw_augmentation(len(batch.chunk), generator)
        images = encoder.image_features(observation, augmentation)  # by all threads
        features = algorithm.critic_input(observation["proprioception"], images)
        streams = _fork(generator, 3)
        if not self._objective.train_actor:
            critic = self._critic_loss(features, batch, streams[0], at_once)
            loss, _, metrics = self._critic_gradients(critic)
            return metrics | {"loss": loss}
        context = encoder.context(observation["proprioception"], images, augmentation)
        leaf = context.detach().requires_grad_()
        metrics = self._side_by_side(features, leaf, batch, streams)
        context.backward(leaf.grad)
        return metrics

    def _side_by_side(
        self, features: Tensor, context: Tensor, batch: LearnerBatch, streams: list[torch.Generator]
    ) -> "Metrics":
        """All gradients of an update that trains the actor, those of the contexts (B, C) among them."""
        algorithm, objective = self._algorithm, self._objective
        wanted = [context, *self._actor]

        def likelihood(*values: Tensor | None) -> "tuple[float, Metrics]":
            loss, metrics = algorithm.likelihood_loss(context, batch, objective, streams[2], *values)
            loss.backward()
            return float(loss.detach()), metrics

        with self._threads.beside() as beside:
            improvement = beside(
                lambda: algorithm.improvement_loss(features, context, batch, objective, streams[1])
            )
            critic = self._critic_loss(features, batch, streams[0], beside)
            gradients = beside(lambda: _gradients(improvement()[0], wanted))
            if objective.advantage_temperature > 0:  # weighted by values, which it has to wait for
                critic_loss, data_value, metrics = self._critic_gradients(critic)
                data_loss, data_metrics = likelihood(data_value, improvement()[1])
            else:
                data_loss, data_metrics = likelihood()
                critic_loss, _, metrics = self._critic_gradients(critic)
        _accumulate(wanted, gradients())
        loss, _, improvement_metrics = improvement()
        metrics |= improvement_metrics | data_metrics
        return metrics | {"loss": critic_loss + float(loss.detach()) + data_loss}

    def _critic_loss(
        self, features: Tensor, batch: LearnerBatch, generator: torch.Generator, beside: Submit
    ) -> Callable[[], CriticLoss] | None:
        """Target y (B,), L_Q, min_e Q_e (B,) of the data, L_M, to wait for; None if no critic is trained."""
        if not self._objective.train_critic:
            return None
        algorithm = self._algorithm
        after = algorithm.act_after(batch, generator)

        def compute() -> CriticLoss:
            target = algorithm.value_after(batch, *after)
            foreseen = algorithm.foresee(features, batch)
            loss, value = algorithm.critic_loss(foreseen, batch, target)
            return target, loss, value, algorithm.model_loss(foreseen, after[0], batch)

        return beside(compute)

    def _critic_gradients(
        self, critic: Callable[[], CriticLoss] | None
    ) -> tuple[float, Tensor | None, "Metrics"]:
        """L_Q + L_M, min_e Q_e (B,) of the data, and metrics."""
        if critic is None:
            return 0.0, None, {}
        target, loss, data_value, model_loss = critic()
        whole = loss if model_loss is None else loss + model_loss
        whole.backward()
        metrics = {
            "critic": float(loss.detach()),
            "q_data": float(data_value.mean()),
            "target": float(target.mean()),
            "target_outside": float(self._algorithm.critic.histogram.outside(target)),
        }
        if model_loss is not None:
            metrics["model"] = float(model_loss.detach())
        return float(whole.detach()), data_value, metrics


def _fork(generator: torch.Generator, count: int) -> list[torch.Generator]:
    """Generators whose streams follow from the state of this one."""
    seeds = torch.randint(2**62, (count,), generator=generator, device=generator.device).tolist()
    return [torch.Generator(generator.device).manual_seed(seed) for seed in seeds]


def _gradients(loss: Tensor, wanted: list[Tensor]) -> Gradients:
    """Gradients of a loss, accumulated nowhere, None where there is none."""
    if not loss.requires_grad:
        return [None] * len(wanted)
    return torch.autograd.grad(loss, wanted, allow_unused=True)


def _accumulate(leaves: list[Tensor], gradients: Gradients) -> None:
    for leaf, gradient in zip(leaves, gradients, strict=True):
        if gradient is not None:
            leaf.grad = gradient if leaf.grad is None else leaf.grad.add_(gradient)
