"""Proprioception to features: chosen fields, normalized, through a small network."""

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from soft_flow_contract.task_specification import TaskSpecification

# Imitation copies what reveals the last action instead of looking at the scene (causal confusion).
LEFT_OUT = ("arm_joint_velocity", "last_action")
DEVIATION_FLOOR = 0.01  # m or rad: sensor noise of a quantity that never moves is not blown up
LIMIT = 5.0  # deviations; what lies further out is out of the data anyway


def chosen_fields(specification: TaskSpecification, fields: Sequence[str] | None) -> tuple[str, ...]:
    """Names of the fields that the policy sees; None: all but those of `LEFT_OUT`.

    Raises:
        ValueError: a field that the specification does not have.
    """
    known = specification.proprioception_slices
    if fields is None:
        return tuple(name for name in known if name not in LEFT_OUT)
    for name in fields:
        if name not in known:
            raise ValueError(f"proprioception_fields: the task has no field '{name}'; it has {list(known)}")
    return tuple(fields)


class ProprioceptionEncoder(nn.Module):
    """Selects fields, subtracts the mean and divides by the deviation of the data, then two layers."""

    def __init__(self, specification: TaskSpecification, fields: Sequence[str] | None, width: int) -> None:
        """Features of size `width` from the `fields` of `specification`.

        Raises:
            ValueError: a field that the specification does not have.
        """
        super().__init__()
        slices = specification.proprioception_slices
        names = chosen_fields(specification, fields)
        self.names = names
        self._parts = [slices[name] for name in names]
        self.dimension = sum(part.stop - part.start for part in self._parts)
        self.register_buffer("mean", torch.zeros(self.dimension))
        self.register_buffer("deviation", torch.ones(self.dimension))
        self.mean: Tensor
        self.deviation: Tensor
        self.network = nn.Sequential(
            nn.Linear(self.dimension, 2 * width), nn.SiLU(), nn.Linear(2 * width, width), nn.SiLU()
        )

    def columns(self, fields: Sequence[str]) -> list[int]:
        """Where those of `fields` that are chosen lie in the normalized numbers."""
        columns: list[int] = []
        start = 0
        for name, part in zip(self.names, self._parts, strict=True):
            size = part.stop - part.start
            if name in fields:
                columns.extend(range(start, start + size))
            start += size
        return columns

    def select(self, proprioception: Tensor) -> Tensor:
        """The chosen numbers (B, D) of the whole vector (B, P)."""
        return torch.cat([proprioception[:, part] for part in self._parts], dim=1)

    def fit(self, proprioception: Tensor) -> None:
        """Fit the normalizer to data (N, P).

        Raises:
            ValueError: no rows, or values that are not finite.
        """
        rows = self.select(proprioception).double()
        if rows.shape[0] == 0 or not torch.isfinite(rows).all():
            raise ValueError(f"proprioception: expected finite rows, got shape {tuple(proprioception.shape)}")
        self.mean.copy_(rows.mean(0))
        self.deviation.copy_(rows.std(0, correction=0).clamp_min(DEVIATION_FLOOR))

    def normalize(self, proprioception: Tensor) -> Tensor:
        """Whole vector (B, P) to chosen and normalized numbers (B, D)."""
        return ((self.select(proprioception) - self.mean) / self.deviation).clamp(-LIMIT, LIMIT)

    def forward(self, proprioception: Tensor, noise: Tensor | None = None) -> Tensor:
        """Whole vector (B, P) to features (B, width); `noise` (B, D) is added to the normalized numbers."""
        x = self.normalize(proprioception)
        return self.network(x if noise is None else x + noise)
