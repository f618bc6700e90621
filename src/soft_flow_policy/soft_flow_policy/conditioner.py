"""Conditioners: from the tokens that pass through, and the context, to scale and shift of the others."""

import torch
import torch.nn.functional as F  # noqa: N812 - its usual name
from torch import Tensor, nn


def modulate(tokens: Tensor, scale: Tensor, shift: Tensor) -> Tensor:
    """Adaptive layer norm (Peebles & Xie 2023): LN(x) (1 + scale) + shift; scale and shift (B, 1, W)."""
    return torch.addcmul(shift, F.layer_norm(tokens, tokens.shape[-1:]), scale + 1)


class TransformerConditioner(nn.Module):
    """One pre-norm transformer layer whose norms are modulated by the context (AdaLN).

    It sees only the tokens that pass through. Token i answers for the transformed token of the same rank: its
    neighbour (time parity), itself (dimension halves), or the one half a chunk away (time halves).
    """

    def __init__(
        self, passed: tuple[int, int], transformed: tuple[int, int], width: int, heads: int, mlp_ratio: int
    ) -> None:
        """Shapes are (tokens, dimensions); `width` must be a multiple of `heads`."""
        super().__init__()
        self.heads = heads
        self.modulation_width = 4 * width
        self.embed = nn.Linear(passed[1], width)
        self.position = nn.Parameter(0.1 * torch.randn(passed[0], width))
        self.qkv = nn.Linear(width, 3 * width)
        self.attention_out = nn.Linear(width, width)
        self.mlp_in = nn.Linear(width, mlp_ratio * width)
        self.mlp_out = nn.Linear(mlp_ratio * width, width)
        self.head = nn.Linear(width, 2 * transformed[1])
        nn.init.zeros_(self.head.weight)
        nn.init.zeros_(self.head.bias)

    def forward(self, passed: Tensor, modulation: Tensor) -> tuple[Tensor, Tensor]:
        """Passed tokens (B, N, D) and modulation (B, modulation_width) to raw scale and shift (B, N', D')."""
        scale_1, shift_1, scale_2, shift_2 = modulation.unsqueeze(1).chunk(4, dim=-1)
        x = self.embed(passed) + self.position
        x = x + self._attend(modulate(x, scale_1, shift_1))
        x = x + self.mlp_out(F.gelu(self.mlp_in(modulate(x, scale_2, shift_2)), approximate="tanh"))
        scale, shift = self.head(F.layer_norm(x, x.shape[-1:])).chunk(2, dim=-1)
        return scale, shift

    def _attend(self, tokens: Tensor) -> Tensor:
        batch, length, width = tokens.shape
        qkv = self.qkv(tokens).view(batch, length, 3, self.heads, width // self.heads)
        query, key, value = qkv.permute(2, 0, 3, 1, 4).unbind(0)
        attended = F.scaled_dot_product_attention(query, key, value)
        return self.attention_out(attended.transpose(1, 2).reshape(batch, length, width))


class MlpConditioner(nn.Module):
    """The cheaper variant: the passed tokens flattened, one residual layer, modulated by the context."""

    def __init__(
        self, passed: tuple[int, int], transformed: tuple[int, int], width: int, heads: int, mlp_ratio: int
    ) -> None:
        """As `TransformerConditioner`; its hidden width is mlp_ratio * width, `heads` is not used."""
        super().__init__()
        del heads
        hidden = mlp_ratio * width
        self.modulation_width = 2 * hidden
        self.transformed = transformed
        self.embed = nn.Linear(passed[0] * passed[1], hidden)
        self.mlp_in = nn.Linear(hidden, hidden)
        self.mlp_out = nn.Linear(hidden, hidden)
        self.head = nn.Linear(hidden, 2 * transformed[0] * transformed[1])
        nn.init.zeros_(self.head.weight)
        nn.init.zeros_(self.head.bias)

    def forward(self, passed: Tensor, modulation: Tensor) -> tuple[Tensor, Tensor]:
        """As `TransformerConditioner.forward`."""
        scale, shift = modulation.chunk(2, dim=-1)
        x = self.embed(passed.flatten(1))
        x = x + self.mlp_out(F.gelu(self.mlp_in(modulate(x, scale, shift)), approximate="tanh"))
        raw = self.head(F.layer_norm(x, x.shape[-1:])).view(-1, 2, *self.transformed)
        return raw[:, 0], raw[:, 1]


CONDITIONERS: dict[str, type[TransformerConditioner] | type[MlpConditioner]] = {
    "transformer": TransformerConditioner,
    "mlp": MlpConditioner,
}
