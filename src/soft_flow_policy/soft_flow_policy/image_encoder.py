"""A small convolutional encoder for one camera, ending in keypoints in full-image coordinates."""

from itertools import pairwise

import torch
import torch.nn.functional as F  # noqa: N812 - its usual name
from pydantic import model_validator
from torch import Tensor, nn
from typing_extensions import Self

from soft_flow_contract.strict_model import StrictModel


class ImageEncoderConfig(StrictModel):
    """Shape of the encoder of one camera."""

    channels: tuple[int, ...] = (16, 32, 32)  # of the convolutions
    kernels: tuple[int, ...] = (5, 3, 3)
    strides: tuple[int, ...] = (2, 2, 1)
    groups: int = 4  # of the group norms; divides all channels
    keypoints: int = 24  # spatial softmax maps
    pooled: int = 16  # pooled appearance features
    crop_margin: int = 8  # px cut off each axis: at random in training, centred at inference

    @model_validator(mode="after")
    def _consistent(self) -> Self:
        if not len(self.channels) == len(self.kernels) == len(self.strides):
            raise ValueError("channels, kernels and strides must have the same length")
        if any(channels % self.groups for channels in self.channels):
            raise ValueError(f"groups {self.groups} must divide all channels {self.channels}")
        if self.crop_margin < 0 or self.crop_margin % 2:
            raise ValueError(f"crop_margin must be even and not negative, got {self.crop_margin}")
        return self


def draw_crop_offsets(count: int, margin: int, generator: torch.Generator | None = None) -> Tensor:
    """Random offsets (row, column) in pixels, (count, 2) int64, each in 0..margin."""
    return torch.randint(0, margin + 1, (count, 2), generator=generator)


def crop(images: Tensor, offsets: Tensor, margin: int) -> Tensor:
    """Crop every image (B, H, W, 3) at its own offset (row, column) to (B, H - margin, W - margin, 3)."""
    height, width = images.shape[1] - margin, images.shape[2] - margin
    out = torch.empty(
        (images.shape[0], height, width, images.shape[3]), dtype=images.dtype, device=images.device
    )
    for index, (row, column) in enumerate(offsets.tolist()):
        out[index] = images[index, row : row + height, column : column + width]
    return out


def centre_crop(images: Tensor, margin: int) -> Tensor:
    """Cut margin / 2 pixels off every side of (B, H, W, 3)."""
    if margin == 0:
        return images
    half = margin // 2
    return images[:, half:-half, half:-half]


class ImageEncoder(nn.Module):
    """Convolutions with group norm; then a spatial softmax (Levine et al. 2016) and pooled features.

    The expected position of each softmax map is a keypoint. The crop's offset is added back to it, so that it
    lives in coordinates of the full image (-1..1 across it): augmentation moves the crop, not what the policy
    is told about where a thing is.
    """

    def __init__(self, config: ImageEncoderConfig, height: int, width: int) -> None:
        """For images (height, width) in pixels.

        Raises:
            ValueError: the images are too small for the crop.
        """
        super().__init__()
        if min(height, width) - config.crop_margin < 16:
            raise ValueError(
                f"images of {height} x {width} px are too small for a crop margin of {config.crop_margin}"
            )
        self.config, self.height, self.width = config, height, width
        channels = (3, *config.channels)
        self.convolutions = nn.ModuleList(
            nn.Conv2d(a, b, kernel, stride, kernel // 2)
            for (a, b), kernel, stride in zip(pairwise(channels), config.kernels, config.strides, strict=True)
        )
        self.norms = nn.ModuleList(nn.GroupNorm(config.groups, c) for c in config.channels)
        self.maps = nn.Conv2d(channels[-1], config.keypoints, 1)
        self.pool = nn.Linear(channels[-1], config.pooled)
        self.log_sharpness = nn.Parameter(torch.zeros(config.keypoints))
        self.features = 2 * config.keypoints + config.pooled
        for convolution in (*self.convolutions, self.maps):
            convolution.weight.data = convolution.weight.data.to(memory_format=torch.channels_last)
        rows, columns = (
            self._cell_centres(height - config.crop_margin),
            self._cell_centres(width - config.crop_margin),
        )
        grid = torch.stack(torch.meshgrid(rows, columns, indexing="ij"), dim=-1).flatten(0, 1)
        self.register_buffer("_cells", grid, persistent=False)  # (cells, 2), px in the crop
        self.register_buffer("_size", torch.tensor([float(height), float(width)]), persistent=False)
        self._cells: Tensor
        self._size: Tensor

    def _cell_centres(self, pixels: int) -> Tensor:
        """Where the cells of the last feature map look, in pixels of the crop (0: centre of the first)."""
        stride, cells = 1, pixels
        for kernel, step in zip(self.config.kernels, self.config.strides, strict=True):
            cells = (cells + 2 * (kernel // 2) - kernel) // step + 1
            stride *= step
        return torch.arange(cells, dtype=torch.float32) * stride

    def forward(self, images: Tensor, offsets: Tensor | None = None) -> Tensor:
        """Images (B, H, W, 3) uint8 to features (B, 2 keypoints + pooled).

        Args:
            images: full images, RGB.
            offsets: (B, 2) int64, where to crop, (row, column) px; None: in the centre.
        """
        margin = self.config.crop_margin
        if offsets is None:
            cropped, origin = (
                centre_crop(images, margin),
                torch.full((1, 2), margin / 2, device=images.device),
            )
        else:
            cropped, origin = crop(images, offsets, margin), offsets
        dtype = self.maps.weight.dtype
        x = cropped.permute(0, 3, 1, 2).to(dtype) * (1 / 128.0) - 1.0  # NHWC memory is channels-last already
        for convolution, norm in zip(self.convolutions, self.norms, strict=True):
            x = F.relu(norm(convolution(x)))
        logits = self.maps(x).flatten(2) * self.log_sharpness.exp().unsqueeze(-1)
        pixels = torch.softmax(logits, dim=-1) @ self._cells.to(dtype) + origin.to(dtype).unsqueeze(1)
        keypoints = (pixels + 0.5) * (2.0 / self._size.to(dtype)) - 1.0
        return torch.cat((keypoints.flatten(1), self.pool(x.mean(dim=(2, 3)))), dim=1)
