"""Removes the dequantization noise from a sampled chunk before it is executed.

The flow learns the density of a + sigma eps, so its samples carry noise that is independent per step: on a
finger joint about three degrees, twenty times a second. Under a Gaussian model of the clean chunks (their
covariance C over time, one for each dimension, comes from the data) the best estimate of the clean
chunk is linear in the sample (Wiener 1949; for a Gaussian, Tweedie's formula a + sigma^2 grad log p):

    E[a | a + sigma eps, a_-1] = m + C [a_-1; a] ([C] + diag(0, sigma^2, ...))^-1 ([a_-1; sample] - m)

Knowing the action a_-1 that was executed before makes chunks join smoothly. The map mixes only time steps, so
a sample keeps its mode; motions that occur in the data, sudden ones too, are in C and pass.
"""

import torch
from torch import Tensor, nn

PREVIOUS_VARIANCE = 1e-4  # model space; how exactly the last executed action is believed


class ChunkDenoiser(nn.Module):
    """Linear smoother in model space, (B, T, A) to (B, T, A). The identity until it is fitted."""

    def __init__(self, length: int, dimension: int) -> None:
        """For chunks (length T, dimension A)."""
        super().__init__()
        gain = torch.cat((torch.zeros(length, 1), torch.eye(length)), dim=1)
        self.register_buffer(
            "gain", gain.repeat(dimension, 1, 1)
        )  # (A, T, T + 1), first column: previous action
        self.register_buffer("offset", torch.zeros(dimension, length))
        self.gain: Tensor
        self.offset: Tensor

    def fit(self, chunks: Tensor, previous: Tensor, sigma: float) -> None:
        """Fit to clean chunks (N, T, A) and the actions before them (N, A), model space."""
        rows = torch.cat((previous.unsqueeze(1), chunks), dim=1).double()  # (N, T + 1, A)
        mean = rows.mean(0)
        centred = rows - mean
        covariance = torch.einsum("nia,nja->aij", centred, centred) / rows.shape[0]
        noise = torch.full((rows.shape[1],), sigma**2, dtype=torch.float64)
        noise[0] = PREVIOUS_VARIANCE
        noisy = covariance + torch.diag(noise)
        gain = torch.linalg.solve(noisy, covariance[:, :, 1:]).transpose(1, 2)
        self.gain.copy_(gain)
        self.offset.copy_(mean[1:].T - torch.einsum("atk,ka->at", gain, mean))

    def forward(self, chunk: Tensor, previous: Tensor) -> Tensor:
        """Smooth chunks (..., T, A) that follow the executed actions (..., A), all in model space."""
        rows = torch.cat((previous.unsqueeze(-2), chunk), dim=-2)
        if rows.dim() == 3:  # one product a dimension, not one a chunk and dimension
            smooth = torch.baddbmm(self.offset.unsqueeze(1), rows.permute(2, 0, 1), self.gain.transpose(1, 2))
            return smooth.permute(1, 2, 0)
        rows = rows.transpose(-2, -1).unsqueeze(-1)
        return (torch.matmul(self.gain, rows).squeeze(-1) + self.offset).transpose(-2, -1)
