"""Contract space <-> model space of actions: an affine map per dimension, fitted once, never clipping."""

import torch
from torch import Tensor, nn

RANGE_FLOOR = 0.2  # of the contract's [-1, 1]; keeps rarely moving dimensions and rare extremes in reach


class ActionNormalizer(nn.Module):
    """model = (contract - centre) / half_range, by the 1 and 99 % quantiles of the data.

    Fitted before imitation and frozen after it: densities of different training stages stay comparable.
    """

    def __init__(self, length: int, dimension: int) -> None:
        """The identity for chunks (length, dimension)."""
        super().__init__()
        self.length = length
        self.register_buffer("centre", torch.zeros(dimension))
        self.register_buffer("half_range", torch.ones(dimension))
        self.centre: Tensor
        self.half_range: Tensor

    def fit(self, actions: Tensor, range_floor: float = RANGE_FLOOR) -> None:
        """Fit to actions (..., A) in contract space.

        Raises:
            ValueError: no actions, another dimension, or values that are not finite.
        """
        dimension = self.centre.shape[0]
        rows = actions.detach().reshape(-1, actions.shape[-1]).double()
        if rows.shape[0] == 0 or rows.shape[1] != dimension or not torch.isfinite(rows).all():
            raise ValueError(
                f"actions: expected finite rows of {dimension} numbers, got shape {tuple(actions.shape)}; "
                "check that the data belongs to this task"
            )
        ordered = rows.sort(dim=0).values
        last = rows.shape[0] - 1
        low, high = ordered[round(0.01 * last)], ordered[round(0.99 * last)]
        self.centre.copy_((low + high) / 2)
        self.half_range.copy_(((high - low) / 2).clamp_min(range_floor / 2))

    def to_model(self, actions: Tensor) -> Tensor:
        """Contract space (..., A) to model space."""
        return (actions - self.centre) / self.half_range

    def to_contract(self, actions: Tensor) -> Tensor:
        """Model space (..., A) to contract space."""
        return torch.addcmul(self.centre, actions, self.half_range)

    def log_det(self) -> Tensor:
        """log|det d model / d contract| of a whole chunk, a scalar to add to a density of model space."""
        return -self.length * self.half_range.log().sum()
