"""Stage 1 of SOFT-FLOW, maximum likelihood of demonstrated chunks: the update; the loop is `trainer.py`.

L = E[ -log pi(a + sigma eps | o) ] / (T A) + w E[ |s_(t+n) - f(c(o_t))|^2 ],    eps ~ N(0, I)

The likelihood alone hardly asks where things are: five millimetres over a chunk are less than one of its some
hundred nats. So while training, a linear map f also foresees from the context c what (normalized)
proprioception s will be some steps later, which it cannot without seeing where the task leads. f is no part
of the policy.
"""

import copy
from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor, nn

from soft_flow_learner.episode_store import ChunkBatch
from soft_flow_learner.foresight import Foresight
from soft_flow_learner.learner_config import ImitationConfig
from soft_flow_learner.training.compute import ALONE, CPU, Compute, to_device
from soft_flow_policy.observation_encoder import ObservationBatch
from soft_flow_policy.policy import FlowPolicy

MOMENTS = ("exp_avg", "exp_avg_sq")


@dataclass(frozen=True)
class UpdateMetrics:
    """What an update tells.

    Attributes:
        loss: NLL, nats a dimension.
        foresight: mean squared error, normalized.
        gradient_norm: before clipping.
    """

    loss: float
    foresight: float
    gradient_norm: float


def to_tensors(batch: ChunkBatch, device: torch.device = CPU) -> tuple[ObservationBatch, Tensor]:
    """Observation and chunks of a batch; on a CPU they share its memory."""
    images = {name: to_device(stack, device) for name, stack in batch.images.items()}
    observation = ObservationBatch(proprioception=to_device(batch.proprioception, device), images=images)
    return observation, to_device(batch.chunk, device)


def seeded_generator(seed: int, *place: int) -> torch.Generator:
    """Randomness as a function of the seed and a place (such as the update): a resume needs no state."""
    state = np.random.SeedSequence((seed, *place)).generate_state(2, np.uint32)
    return torch.Generator().manual_seed(int(state[0]) << 32 | int(state[1]))


class Model(nn.Module):
    """What is trained: the policy, and the foresight that is left behind when it is exported."""

    def __init__(self, policy: FlowPolicy, config: ImitationConfig) -> None:
        super().__init__()
        self.policy = policy
        encoder, steps = policy.encoder.proprioception, len(config.foresight_steps)
        self.foresight: Foresight | None = None
        if config.foresight_weight > 0 and steps and encoder.columns(config.foresight_fields):
            self.foresight = Foresight(encoder, policy.config.context_width, config.foresight_fields, steps)

    def losses(self, batch: ChunkBatch, generator: torch.Generator, augment: bool) -> tuple[Tensor, Tensor]:
        """NLL (B,), nats a dimension, and foresight error (B,) of a batch."""
        device = next(self.policy.parameters()).device
        observation, chunk = to_tensors(batch, device)
        encoder = self.policy.encoder
        augmentation = encoder.draw_augmentation(len(chunk), generator) if augment else None
        context = self.policy.encode(observation, augmentation)
        nll = self.policy.nll_given_context(context, chunk, generator)
        if self.foresight is None:
            return nll, torch.zeros_like(nll)
        future = to_device(batch.future, device)
        return nll, self.foresight.loss(context, future, encoder.proprioception)


class Imitation:
    """The policy in training, its optimizer, and the moving average of its weights."""

    def __init__(self, policy: FlowPolicy, config: ImitationConfig, compute: Compute = ALONE) -> None:
        """Train `policy` in place; its normalizers must be fitted."""
        self.config, self.compute = config, compute
        self._model = Model(policy, config).train().to(compute.device)
        self._average = copy.deepcopy(self._model).eval().requires_grad_(False)
        trained = dict(self._model.named_parameters())
        matrices = [p for p in trained.values() if p.ndim >= 2]
        others = [p for p in trained.values() if p.ndim < 2]
        groups = [
            {"params": matrices, "weight_decay": config.weight_decay},
            {"params": others, "weight_decay": 0.0},
        ]
        self.optimizer = torch.optim.AdamW(groups, lr=config.learning_rate, fused=True)
        self._parameters: list[Tensor] = [*matrices, *others]
        names = {id(parameter): name for name, parameter in trained.items()}
        self._names = [names[id(parameter)] for parameter in self._parameters]
        averaged = dict(self._average.named_parameters())
        self._averaged: list[Tensor] = [averaged[name] for name in self._names]

    @property
    def policy(self) -> FlowPolicy:
        """The policy with the weights in training."""
        return self._model.policy

    @property
    def average(self) -> FlowPolicy:
        """The policy with the averaged weights."""
        return self._average.policy

    def update(
        self, batch: ChunkBatch, generator: torch.Generator, learning_rate: float, done: int
    ) -> UpdateMetrics:
        """One step of AdamW on `batch` (this process's part of it), the `done + 1`st of the run."""
        for group in self.optimizer.param_groups:
            group["lr"] = learning_rate
        with self.compute.autocast():
            nll, foresight = (loss.mean() for loss in self._model.losses(batch, generator, augment=True))
        loss = nll + self.config.foresight_weight * foresight
        self.optimizer.zero_grad(set_to_none=True)
        loss.backward()
        self.compute.average_gradients(self._parameters)
        norm = torch.nn.utils.clip_grad_norm_(self._parameters, self.config.gradient_clip, foreach=True)
        means = self.compute.mean_metrics(
            {"nll": float(nll.detach()), "foresight": float(foresight.detach())}
        )
        metrics = UpdateMetrics(means["nll"], means["foresight"], float(norm))
        if np.isfinite(metrics.loss) and np.isfinite(metrics.gradient_norm):  # never spoil the weights
            self.optimizer.step()
            self._follow(done)
        return metrics

    @torch.no_grad()
    def _follow(self, done: int) -> None:
        """Let average <- d average + (1 - d) weights; d rises from 0.1: the start is soon forgotten."""
        decay = min(self.config.average_decay, (1 + done) / (10 + done))
        torch._foreach_lerp_(self._averaged, self._parameters, 1 - decay)

    @torch.no_grad()
    def held_out(self, batches: Iterable[ChunkBatch], seed: int) -> tuple[float, float]:
        """Mean NLL (nats a dimension) and foresight error of the averaged weights.

        Crops are centred and the noise is always the same.
        """
        total, count = np.zeros(2), 0
        for index, batch in enumerate(batches):
            with self.compute.randomness():
                losses = self._average.losses(batch, seeded_generator(seed, index), augment=False)
            total += [float(loss.sum()) for loss in losses]
            count += len(batch.chunk)
        nll, foresight = total / count
        return float(nll), float(foresight)

    def state(self) -> dict[str, Tensor]:
        """Weights in training and the optimizer's moments, by name, for a safetensors file."""
        tensors = {
            f"weights.{name}": p.detach() for name, p in zip(self._names, self._parameters, strict=True)
        }
        for name, parameter in zip(self._names, self._parameters, strict=True):
            for key, value in self.optimizer.state[parameter].items():
                tensors[f"optimizer.{key}.{name}"] = value
        if self._average.foresight is not None:
            foresight = self._average.foresight.state_dict()
            tensors |= {f"average.{name}": value for name, value in foresight.items()}
        return tensors

    def load_state(self, average: dict[str, Tensor], state: dict[str, Tensor]) -> None:
        """Continue from `state()` and the averaged policy's `state_dict`.

        Raises:
            KeyError: a tensor is missing.
        """
        self.average.load_state_dict(average)
        self.policy.load_state_dict(average)  # normalizers; the weights follow
        if self._average.foresight is not None:
            foresight = self._average.foresight
            foresight.load_state_dict({name: state[f"average.{name}"] for name in foresight.state_dict()})
        with torch.no_grad():
            for name, parameter in zip(self._names, self._parameters, strict=True):
                parameter.copy_(state[f"weights.{name}"])
                # As the optimizer makes them: the fused kernel needs moments of the weights' memory layout.
                self.optimizer.state[parameter] = {
                    "step": state[f"optimizer.step.{name}"].clone().to(parameter.device),
                    **{
                        key: torch.empty_like(parameter).copy_(state[f"optimizer.{key}.{name}"])
                        for key in MOMENTS
                    },
                }
