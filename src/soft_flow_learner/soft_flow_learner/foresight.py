"""A head for training only, which foresees from the context where the arm will be."""

from collections.abc import Sequence

from torch import Tensor, nn

from soft_flow_policy.proprioception_encoder import ProprioceptionEncoder


class Foresight(nn.Module):
    """Linear map from the context to normalized proprioception, some fields of it, some steps later."""

    def __init__(
        self, encoder: ProprioceptionEncoder, context_width: int, fields: Sequence[str], steps: int
    ) -> None:
        """Foresee `fields` (those that the encoder has: at least one) at `steps` times."""
        super().__init__()
        self._columns = encoder.columns(fields)
        self.linear = nn.Linear(context_width, steps * len(self._columns))

    def loss(self, context: Tensor, future: Tensor, encoder: ProprioceptionEncoder) -> Tensor:
        """Mean squared error (B,) of what contexts (B, C) foresee of `future` (B, F, P).

        Args:
            context: of observations.
            future: proprioception at the foreseen steps, units of the specification.
            encoder: normalizes it.
        """
        wanted = encoder.normalize(future.flatten(0, 1))[:, self._columns].reshape(len(context), -1)
        return (self.linear(context) - wanted).square().mean(1)
