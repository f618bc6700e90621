"""Acting with a critic: of some chunks that the policy proposes, the one that the critic values most."""

import numpy as np
import torch

from learning.closed_loop import NO_IMAGES, Act, Images, batch_of
from soft_flow_learner.algorithm.soft_flow_algorithm import SoftFlow
from soft_flow_learner.training.compute import to_device
from soft_flow_policy.chunk_choice import likely_count
from soft_flow_policy.observation_encoder import ObservationBatch


def best_chunk_act(algorithm: SoftFlow, temperature: float, likely_fraction: float = 1.0) -> Act:
    """How the averaged actor acts: of a denoised sample for each of N noises, the best of the likely ones.

    The critic is asked about the most likely `likely_fraction` of them (`chunk_choice`); min_e Q_e chooses.
    """
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
            sample = algorithm.average.sample(repeated, temperature, flat, denoise=True)
            rows = torch.arange(starts, device=device)
            likely = sample.log_prob.unflatten(0, (starts, candidates))
            likely = likely.topk(likely_count(candidates, likely_fraction), dim=1).indices
            chunks = sample.actions.clamp(-1, 1).unflatten(0, (starts, candidates))[rows[:, None], likely]
            features = algorithm.critic_input(seen["proprioception"], image_features)
            values = algorithm.critic.candidate_values(features, chunks[:, :, : algorithm.horizon])
            best = chunks[rows, values.argmax(dim=1)]
        return best.cpu().numpy()

    return act
