"""Conditioners: from the tokens that pass through, and the context, to scale and shift of the others."""

from collections.abc import Sequence

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from soft_flow_policy.conditioner_pass import ConditionerPass
from soft_flow_policy.small_attention import has_written_out_gradient


def modulated_norm(tokens: Tensor, scale: Tensor, shift: Tensor) -> Tensor:
    """Adaptive layer norm (Peebles & Xie 2023): LN(x) scale + shift.

    Scale and shift are (W,) for the tokens (N, W) of a single chunk, (B, 1, W) for those of a batch.
    """
    if scale.dim() == 1:
        return F.layer_norm(tokens, tokens.shape[-1:], scale, shift)  # one operation at inference
    return torch.addcmul(shift, F.layer_norm(tokens, tokens.shape[-1:]), scale)


def _initial_modulation(widths: Sequence[int]) -> Tensor:
    """Scales start at one, shifts at zero; they take turns."""
    return torch.cat([torch.full((width,), float(1 - index % 2)) for index, width in enumerate(widths)])


class TransformerLayer(nn.Module):
    """Attention and MLP side by side on one norm, which the context modulates (AdaLN).

    x + W [attention(n); silu(h)] with n = LN(x) scale + shift and one product for queries, keys, values and
    the MLP's hidden units h (Wang & Komatsuzaki 2021): half the operations of one after the other, and at
    chunks of few tokens it is the number of operations that costs time.
    """

    def __init__(self, width: int, heads: int, mlp_ratio: int) -> None:
        """`width` must be a multiple of `heads`."""
        super().__init__()
        self.heads, self.width = heads, width
        self.modulation_widths = [width] * 2
        self.project_in = nn.Linear(width, (3 + mlp_ratio) * width)
        self.project_out = nn.Linear((1 + mlp_ratio) * width, width)

    def forward(self, x: Tensor, modulation: Sequence[Tensor]) -> Tensor:
        """Tokens (..., N, W) to (..., N, W); modulation: scale, shift."""
        projected = self.project_in(modulated_norm(x, *modulation))
        qkv, hidden = projected.split((3 * self.width, projected.shape[-1] - 3 * self.width), dim=-1)
        return x + self.project_out(torch.cat((self._attend(qkv), F.silu(hidden)), dim=-1))

    def _attend(self, qkv: Tensor) -> Tensor:
        """Queries, keys and values (..., N, 3 W) to (..., N, W).

        Plain products: for so few tokens they are twice as fast as the fused kernels, which tile for many.
        """
        shape = (*qkv.shape[:-1], 3 * self.heads, self.width // self.heads)
        query, key, value = qkv.view(shape).transpose(-3, -2).split(self.heads, dim=-3)
        scores = query @ (key * shape[-1] ** -0.5).transpose(-2, -1)
        attended = torch.softmax(scores, dim=-1) @ value
        return attended.transpose(-3, -2).reshape(*qkv.shape[:-1], self.width)


class TransformerConditioner(nn.Module):
    """One transformer layer over the tokens that pass through, and over nothing else.

    Token i answers for the transformed token of the same rank: its neighbour (time parity), the other half of
    its dimensions (dimension halves), or the one half a chunk away (time halves).
    """

    def __init__(
        self, passed: tuple[int, int], transformed: tuple[int, int], width: int, heads: int, mlp_ratio: int
    ) -> None:
        """Shapes are (tokens, dimensions); `width` must be a multiple of `heads`."""
        super().__init__()
        self.embed = nn.Linear(passed[1], width, bias=False)
        self.position = nn.Parameter(0.1 * torch.randn(passed[0], width))
        self.layer = TransformerLayer(width, heads, mlp_ratio)
        self.modulation_widths = self.layer.modulation_widths
        self.head = nn.Linear(width, 2 * transformed[1])
        nn.init.zeros_(self.head.weight)
        nn.init.zeros_(self.head.bias)

    def initial_modulation(self) -> Tensor:
        """Modulation (sum of modulation_widths) that changes nothing."""
        return _initial_modulation(self.modulation_widths)

    def forward(self, passed: Tensor, modulation: Sequence[Tensor]) -> Tensor:
        """Passed tokens (..., N, D) to raw scale and shift side by side, (..., N', 2 D')."""
        if passed.dim() == 3 and has_written_out_gradient(passed):
            return self._pass_batch(passed, modulation)
        x = self.layer(self.embed(passed) + self.position, modulation)
        raw: Tensor = self.head(F.layer_norm(x, x.shape[-1:]))
        return raw

    def _pass_batch(self, passed: Tensor, modulation: Sequence[Tensor]) -> Tensor:
        """The same for a batch (B, N, D), faster."""
        layer = self.layer
        raw: Tensor = ConditionerPass.apply(
            layer.heads,
            passed,
            *modulation,
            self.embed.weight,
            self.position,
            layer.project_in.weight,
            layer.project_in.bias,
            layer.project_out.weight,
            layer.project_out.bias,
            self.head.weight,
            self.head.bias,
        )
        return raw.view(*passed.shape[:2], -1)


class MlpConditioner(nn.Module):
    """The cheaper variant: the passed tokens flattened, one residual layer, modulated by the context."""

    def __init__(
        self, passed: tuple[int, int], transformed: tuple[int, int], width: int, heads: int, mlp_ratio: int
    ) -> None:
        """As `TransformerConditioner`; its hidden width is mlp_ratio * width, `heads` is not used."""
        super().__init__()
        del heads
        hidden = mlp_ratio * width
        self.modulation_widths = [hidden] * 2
        self.transformed = transformed
        self.embed = nn.Linear(passed[0] * passed[1], hidden)
        self.mlp_in = nn.Linear(hidden, hidden)
        self.mlp_out = nn.Linear(hidden, hidden)
        self.head = nn.Linear(hidden, 2 * transformed[0] * transformed[1])
        nn.init.zeros_(self.head.weight)
        nn.init.zeros_(self.head.bias)

    def initial_modulation(self) -> Tensor:
        """As `TransformerConditioner.initial_modulation`."""
        return _initial_modulation(self.modulation_widths)

    def forward(self, passed: Tensor, modulation: Sequence[Tensor]) -> Tensor:
        """As `TransformerConditioner.forward`."""
        scale, shift = modulation
        x = self.embed(passed.flatten(-2).unsqueeze(-2))
        x = x + self.mlp_out(F.silu(self.mlp_in(modulated_norm(x, scale, shift))))
        scale_and_shift = self.head(F.layer_norm(x, x.shape[-1:])).chunk(2, dim=-1)
        shape = (*passed.shape[:-2], *self.transformed)
        return torch.cat([part.reshape(shape) for part in scale_and_shift], dim=-1)


CONDITIONERS: dict[str, type[TransformerConditioner] | type[MlpConditioner]] = {
    "transformer": TransformerConditioner,
    "mlp": MlpConditioner,
}
