"""A batch as tensors: windows of the replay, ready for the losses."""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from soft_flow_learner.replay.chunk_windows import TransitionBatch
from soft_flow_learner.training.compute import CPU, to_device
from soft_flow_policy.observation_encoder import ObservationBatch


@dataclass(frozen=True)
class LearnerBatch:
    """B windows of m <= h executed actions.

    Attributes:
        observation: o_t.
        chunk: (B, T, A) the actions from t on, padded with the hold action; contract space.
        executed: (B, h, A) the first h of them, as the critic sees them.
        next_observation: o_(t+m).
        reward: (B,) sum_(k<m) gamma^k r_(t+k).
        bootstrap: (B,) gamma^m (1 - d).
        steps: (B,) m.
        imitated: (B,) 1 where the likelihood of the chunk is raised in full.
        observed_return: (B,) sum_k gamma^k r_(t+k) to the end of the episode.
    """

    observation: ObservationBatch
    chunk: Tensor
    executed: Tensor
    next_observation: ObservationBatch
    reward: Tensor
    bootstrap: Tensor
    steps: Tensor
    imitated: Tensor
    observed_return: Tensor

    @classmethod
    def of(cls, batch: TransitionBatch, device: torch.device = CPU) -> "LearnerBatch":
        """Tensors of a batch; on a CPU they share its memory."""

        def tensor(array: np.ndarray) -> Tensor:
            return to_device(array, device)

        def observation(
            proprioception: np.ndarray, images: Mapping[str, np.ndarray], features: np.ndarray | None
        ) -> ObservationBatch:
            seen = {name: tensor(stack) for name, stack in images.items()}
            observed = ObservationBatch(proprioception=tensor(proprioception), images=seen)
            if features is not None:
                observed["image_features"] = tensor(features)
            return observed

        return cls(
            observation(batch.proprioception, batch.images, batch.image_features),
            tensor(batch.chunk),
            tensor(batch.executed),
            observation(batch.next_proprioception, batch.next_images, batch.next_image_features),
            tensor(batch.reward),
            tensor(batch.bootstrap),
            tensor(batch.steps),
            tensor(batch.imitated),
            tensor(batch.observed_return),
        )
