"""A policy's image encoders in a stage that does not train them."""

import hashlib
from collections.abc import Mapping

import numpy as np
import torch

from soft_flow_learner.training.compute import to_device
from soft_flow_policy.observation_encoder import ObservationBatch, ObservationEncoder

BLOCK = 64  # steps that pass at a time: as fast as more, in a sixth of the memory of an episode


class FrozenCameras:
    """Features of images, crops centred as when the policy acts; see `ImageEncoding`."""

    def __init__(self, encoder: ObservationEncoder, device: torch.device) -> None:
        """Encode with the cameras of `encoder`, which are on `device`."""
        self._encoder, self._device = encoder, device

    @classmethod
    def of(cls, encoder: ObservationEncoder, device: torch.device) -> "FrozenCameras | None":
        """The cameras of an encoder if it has any and none of their weights is trained."""
        parameters = list(encoder.cameras.parameters())
        if not parameters or any(parameter.requires_grad for parameter in parameters):
            return None
        return cls(encoder, device)

    @property
    def width(self) -> int:
        """See ImageEncoding."""
        return self._encoder.image_feature_count

    def key(self) -> str:
        """SHA-256 (hex) of the encoders' names and weights; a third of a millisecond."""
        digest = hashlib.sha256()
        for name, weights in self._encoder.cameras.state_dict().items():
            digest.update(name.encode())
            digest.update(weights.cpu().numpy().tobytes())
        return digest.hexdigest()

    @torch.no_grad()
    def encode(self, images: Mapping[str, np.ndarray]) -> np.ndarray:
        """See ImageEncoding; in blocks from the first step on."""
        count = len(next(iter(images.values())))
        features = np.empty((count, self.width), dtype=np.float32)
        for first in range(0, count, BLOCK):
            block = slice(first, min(first + BLOCK, count))
            observation = ObservationBatch(
                proprioception=torch.empty(0),  # not looked at
                images={name: to_device(stack[block], self._device) for name, stack in images.items()},
            )
            features[block] = self._encoder.image_features(observation).cpu().numpy()
        return features
