"""Observation to context: proprioception and cameras, fused to one vector."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TypedDict

import torch
from torch import Tensor, nn
from typing_extensions import NotRequired

from soft_flow_contract.task_specification import TaskSpecification
from soft_flow_policy.image_encoder import ImageEncoder, ImageEncoderConfig, draw_crop_offsets
from soft_flow_policy.proprioception_encoder import ProprioceptionEncoder


class ObservationBatch(TypedDict):
    """A batch of observations.

    proprioception: (B, P) float32, all fields in the order and units of the specification.
    images: camera name -> (B, height, width, 3) uint8, RGB; cameras that are not used may be missing.
    image_features: (B, F) what the image encoders make of the images, where it is known already; they are
        taken in place of the images, and must be of the same encoders.
    """

    proprioception: Tensor
    images: dict[str, Tensor]
    image_features: NotRequired[Tensor]


@dataclass(frozen=True)
class Augmentation:
    """Random numbers that vary a batch in training, drawn once so that an update can be repeated.

    offsets: camera name -> (B, 2) crop offsets (row, column) in pixels.
    proprioception_noise: (B, D) added to the normalized proprioception, or None.
    """

    offsets: dict[str, Tensor]
    proprioception_noise: Tensor | None


def chosen_cameras(specification: TaskSpecification, cameras: Sequence[str] | None) -> tuple[str, ...]:
    """Names of the cameras that the policy sees; None: all.

    Raises:
        ValueError: a camera that the specification does not have.
    """
    if cameras is None:
        return specification.camera_names
    for name in cameras:
        if name not in specification.camera_names:
            raise ValueError(
                f"cameras: the task has no camera '{name}'; it has {list(specification.camera_names)}"
            )
    return tuple(cameras)


class ObservationEncoder(nn.Module):
    """One encoder a camera and one for proprioception; their features are fused by a residual layer."""

    def __init__(
        self,
        specification: TaskSpecification,
        fields: Sequence[str] | None,
        cameras: Sequence[str] | None,
        image: ImageEncoderConfig,
        context_width: int,
        proprioception_noise: float,
    ) -> None:
        """A context of size `context_width` from the chosen fields and cameras.

        Raises:
            ValueError: a field or camera that the specification does not have.
        """
        super().__init__()
        self.proprioception = ProprioceptionEncoder(specification, fields, context_width // 2)
        self.camera_names = chosen_cameras(specification, cameras)
        sizes = {camera.name: (camera.height, camera.width) for camera in specification.observation.cameras}
        encoders = {name: ImageEncoder(image, *sizes[name]) for name in self.camera_names}
        self.cameras = nn.ModuleDict(encoders)
        self._margin, self._proprioception_noise = image.crop_margin, proprioception_noise
        self.image_feature_count = sum(encoder.features for encoder in encoders.values())
        self.fuse = nn.Linear(context_width // 2 + self.image_feature_count, context_width)
        self.refine = nn.Sequential(
            nn.LayerNorm(context_width),
            nn.Linear(context_width, 2 * context_width),
            nn.SiLU(),
            nn.Linear(2 * context_width, context_width),
        )

    def draw_augmentation(self, batch_size: int, generator: torch.Generator | None = None) -> Augmentation:
        """Random crops (and noise, if configured) for a batch."""
        offsets = {name: draw_crop_offsets(batch_size, self._margin, generator) for name in self.camera_names}
        noise = None
        if self._proprioception_noise > 0:
            noise = torch.randn((batch_size, self.proprioception.dimension), generator=generator)
            noise = noise * self._proprioception_noise
        return Augmentation(offsets, noise)

    def image_features(
        self, observation: ObservationBatch, augmentation: Augmentation | None = None
    ) -> Tensor:
        """What the cameras show, (B, F), before it is fused; F is 0 without cameras."""
        if "image_features" in observation:
            return observation["image_features"]
        features = [
            encoder(observation["images"][name], augmentation.offsets[name] if augmentation else None)
            for name, encoder in self.cameras.items()
        ]
        if not features:
            return observation["proprioception"].new_zeros((len(observation["proprioception"]), 0))
        return torch.cat(features, dim=1)

    def context(
        self, proprioception: Tensor, image_features: Tensor, augmentation: Augmentation | None = None
    ) -> Tensor:
        """Contexts (B, context_width) from proprioception (B, P) and image features (B, F)."""
        noise = augmentation.proprioception_noise if augmentation else None
        features = self.proprioception(proprioception, noise)
        if self.image_feature_count:
            features = torch.cat((features, image_features), dim=1)
        context = self.fuse(features)
        return context + self.refine(context)

    def forward(self, observation: ObservationBatch, augmentation: Augmentation | None = None) -> Tensor:
        """Observations to contexts (B, context_width); without augmentation crops are centred."""
        images = self.image_features(observation, augmentation)
        return self.context(observation["proprioception"], images, augmentation)
