"""Acting with a critic: of some chunks that the policy proposes, the one that the critic values most."""

import numpy as np
import torch

from learning.closed_loop import Act
from soft_flow_learner.algorithm.soft_flow_algorithm import SoftFlow


def best_chunk_act(algorithm: SoftFlow, temperature: float) -> Act:
    """How the averaged actor acts, one denoised sample for each of N noises, and min_e Q_e chooses."""

    def act(observations: np.ndarray, noise: np.ndarray) -> np.ndarray:
        starts, candidates = noise.shape[:2]
        with torch.inference_mode():
            repeated = torch.from_numpy(observations).repeat_interleave(candidates, dim=0)
            chunks = algorithm.average.sample(
                {"proprioception": repeated, "images": {}},
                temperature,
                torch.from_numpy(noise).flatten(0, 1),
                denoise=True,
            ).actions.clamp(-1, 1)
            features = algorithm.critic_input(repeated, repeated.new_zeros(len(repeated), 0))
            executed = chunks[:, : algorithm.horizon]
            values = algorithm.critic.value(algorithm.critic(features, executed)).view(starts, candidates)
            best = chunks.unflatten(0, (starts, candidates))[torch.arange(starts), values.argmax(dim=1)]
        return best.numpy()

    return act
