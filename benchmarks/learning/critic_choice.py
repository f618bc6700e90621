"""Acting with a critic: of some chunks that the policy proposes, the one that the critic values most."""

import numpy as np
import torch

from learning.closed_loop import NO_IMAGES, Act, Images, batch_of
from soft_flow_learner.algorithm.soft_flow_algorithm import SoftFlow
from soft_flow_learner.training.compute import to_device
from soft_flow_policy.observation_encoder import ObservationBatch


def best_chunk_act(algorithm: SoftFlow, temperature: float) -> Act:
    """How the averaged actor acts, one denoised sample for each of N noises, and min_e Q_e chooses."""
    device = next(algorithm.parameters()).device

    def act(observations: np.ndarray, noise: np.ndarray, images: Images = NO_IMAGES) -> np.ndarray:
        starts, candidates = noise.shape[:2]
        with torch.inference_mode():
            seen = batch_of(observations, images, device)
            image_features = algorithm.average.encoder.image_features(seen)  # once for all candidates
            repeated = ObservationBatch(
                proprioception=seen["proprioception"].repeat_interleave(candidates, dim=0),
                images={},
                image_features=image_features.repeat_interleave(candidates, dim=0),
            )
            flat = to_device(noise, device).flatten(0, 1)
            chunks = algorithm.average.sample(repeated, temperature, flat, denoise=True).actions.clamp(-1, 1)
            chunks = chunks.unflatten(0, (starts, candidates))
            features = algorithm.critic_input(seen["proprioception"], image_features)
            values = algorithm.critic.candidate_values(features, chunks[:, :, : algorithm.horizon])
            best = chunks[torch.arange(starts, device=device), values.argmax(dim=1)]
        return best.cpu().numpy()

    return act
