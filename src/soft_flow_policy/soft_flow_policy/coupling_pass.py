"""The affine map of a coupling and the order of dimensions over a batch, with their gradients written out.

See `conditioner_pass.py` for the reason; the functions are those of `CouplingBlock` and `ConditionalFlow`.
"""

from typing import Any

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable


def bounded(raw_scale: Tensor, scale_max: float) -> Tensor:
    """s_max tanh(raw / s_max), by way of the sigmoid: on a CPU torch.tanh takes three times as long."""
    return torch.sigmoid(raw_scale * (2 / scale_max)).mul_(2 * scale_max).sub_(scale_max)


class AffinePass(torch.autograd.Function):
    """`apply(raw, x, scale_max, inverse)`: x exp(s) + t or (x - t) exp(-s), and s, all (B, N, D).

    raw: (B, N, 2 D), raw scale and t side by side.
    """

    @staticmethod
    def forward(
        ctx: Any,  # noqa: ANN401 - autograd's own
        raw: Tensor,
        x: Tensor,
        scale_max: float,
        inverse: bool,
    ) -> tuple[Tensor, Tensor]:
        """See the class."""
        raw_scale, shift = raw.chunk(2, dim=-1)
        scale = bounded(raw_scale, scale_max)
        factor = torch.exp(-scale) if inverse else torch.exp(scale)
        y = (x - shift).mul_(factor) if inverse else torch.addcmul(shift, x, factor)
        ctx.save_for_backward(y if inverse else x, scale, factor)
        ctx.scale_max, ctx.inverse = scale_max, inverse
        ctx.set_materialize_grads(False)
        return y, scale

    @staticmethod
    @once_differentiable  # type: ignore[untyped-decorator]
    def backward(
        ctx: Any,  # noqa: ANN401
        d_y: Tensor | None,
        d_scale: Tensor | None,
    ) -> tuple[Tensor | None, ...]:
        """Gradients of raw and x; none can be missing in the flow but that of the log scales."""
        kept, scale, factor = ctx.saved_tensors
        d_y = torch.zeros_like(scale) if d_y is None else d_y
        d_x = d_y * factor
        through = d_y * kept if ctx.inverse else d_x * kept
        if ctx.inverse:
            through.neg_()
        if d_scale is not None:
            through.add_(d_scale)
        d_raw = scale.new_empty((*scale.shape[:-1], 2 * scale.shape[-1]))
        first, second = d_raw.chunk(2, dim=-1)
        slope = (scale * scale).mul_(-1 / ctx.scale_max**2).add_(1)
        torch.mul(through, slope, out=first)
        if ctx.inverse:
            torch.neg(d_x, out=second)
        else:
            second.copy_(d_y)
        return d_raw, d_x, None, None


class OrderPass(torch.autograd.Function):
    """`apply(x, order, back)`: the last dimension in another order, and `back` undoes it.

    The gradient of a selection adds into zeros, row by row; that of a permutation need not.
    """

    @staticmethod
    def forward(ctx: Any, x: Tensor, order: Tensor, back: Tensor) -> Tensor:  # noqa: ANN401
        """See the class."""
        ctx.save_for_backward(back)
        return x.index_select(-1, order)

    @staticmethod
    @once_differentiable  # type: ignore[untyped-decorator]
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor | None, ...]:  # noqa: ANN401
        """The gradient in the original order."""
        (back,) = ctx.saved_tensors
        return gradient.index_select(-1, back), None, None
