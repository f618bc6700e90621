"""The transformer conditioner's pass over a batch, with its gradient written out.

The function is that of `TransformerConditioner`, and its tests compare the two. As one node of autograd's
graph, with every product a large one on contiguous rows and no copies in between, training takes five sixths
of the time.
"""

from functools import lru_cache
from typing import Any

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable

from soft_flow_policy.small_attention import attend, attend_backward, normalize, normalize_backward

Tensors = tuple[Tensor, ...]


def _cut(projection: Tensor, width: int) -> Tensors:
    """Weight or bias of the projection in, for queries, keys, values and hidden units each (views)."""
    return projection.split((width, width, width, len(projection) - 3 * width))


@lru_cache(maxsize=16)
def _within_heads(heads: int, tokens: int, dtype: torch.dtype) -> Tensor:
    """0 where a token and head may attend to a token and head, -inf across heads: (1, N heads, N heads).

    Rows of tokens are rows of heads without a copy, and wasted products cost less than copies.
    """
    head = torch.arange(tokens * heads) % heads
    across = head.unsqueeze(1) != head
    return torch.zeros(across.shape, dtype=dtype).masked_fill_(across, -torch.inf).unsqueeze(0)


def _forward(heads: int, passed: Tensor, modulation: tuple[Tensor, Tensor], weights: Tensors) -> Tensors:
    """Raw scale and shift (B N, 2 D'), and what the gradient needs."""
    embed, position, in_weight, in_bias, out_weight, out_bias, head_weight, head_bias = weights
    batch, tokens, dimension = passed.shape
    width = embed.shape[0]
    shape = (batch, tokens, width)
    rows = passed.reshape(-1, dimension)
    x = torch.mm(rows, embed.t())
    x.view(shape).add_(position)
    normed, mean, deviation = normalize(x)
    scale, shift = modulation
    modulated = torch.addcmul(shift, normed.view(shape), scale).view(-1, width)
    query, key, value, hidden = (
        torch.addmm(bias, modulated, weight.t())
        for weight, bias in zip(_cut(in_weight, width), _cut(in_bias, width), strict=True)
    )
    by_head = (batch, tokens * heads, width // heads)
    attended, attention = attend(
        query.view(by_head), key.view(by_head), value.view(by_head), _within_heads(heads, tokens, x.dtype)
    )
    attended = attended.view(-1, width)
    active = torch.nn.functional.silu(hidden)
    y = torch.addmm(out_bias, attended, out_weight[:, :width].t())
    y.addmm_(active, out_weight[:, width:].t()).add_(x)
    y_normed, y_mean, y_deviation = normalize(y)
    raw = torch.addmm(head_bias, y_normed, head_weight.t())
    norms = (x, mean, deviation, normed, y, y_mean, y_deviation, y_normed)
    return raw, rows, *norms, modulated, query, key, value, hidden, attention, attended, active


class ConditionerPass(torch.autograd.Function):
    """`apply(heads, passed, scale, shift, *weights)` to raw scale and shift, side by side (B N, 2 D').

    passed: (B, N, D); scale, shift: (B, 1, W), the modulation; weights: embedding, position, projection in
    (weight, bias), projection out (weight, bias), head (weight, bias), as `TransformerConditioner` has them.
    """

    @staticmethod
    def forward(
        ctx: Any,  # noqa: ANN401 - autograd's own
        heads: int,
        passed: Tensor,
        scale: Tensor,
        shift: Tensor,
        *weights: Tensor,
    ) -> Tensor:
        """See the class."""
        raw, *saved = _forward(heads, passed, (scale, shift), weights)
        if any(ctx.needs_input_grad):
            ctx.save_for_backward(scale, *weights[::2], *saved)
            ctx.heads, ctx.shape = heads, passed.shape
        return raw

    @staticmethod
    @once_differentiable  # type: ignore[untyped-decorator]
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor | None, ...]:  # noqa: ANN401
        """Gradients of all inputs, from that of the output (B N, 2 D')."""
        scale, embed, in_weight, out_weight, head_weight, rows, *saved = ctx.saved_tensors
        x, mean, deviation, normed, y, y_mean, y_deviation, y_normed, modulated, *layer = saved
        train = ctx.needs_input_grad[4]
        shape = (*ctx.shape[:2], embed.shape[0])

        d_head = (gradient.t() @ y_normed, gradient.sum(0)) if train else (None, None)
        d_y = normalize_backward(gradient @ head_weight, y, y_mean, y_deviation)
        d_out = _out_backward(d_y, layer[5], layer[6]) if train else (None, None)
        d_projected = _layer_backward(d_y, out_weight, tuple(layer), ctx.heads, shape)
        d_in = _in_backward(d_projected, modulated) if train else (None, None)
        first, *others = zip(d_projected, _cut(in_weight, shape[2]), strict=True)
        d_modulated = torch.mm(*first)
        for part, weight in others:
            d_modulated.addmm_(part, weight)
        d_scale = (d_modulated * normed).view(shape).sum(1, keepdim=True)
        d_shift = d_modulated.view(shape).sum(1, keepdim=True)
        d_modulated.view(shape).mul_(scale)  # now that of `normed`
        d_x = normalize_backward(d_modulated, x, mean, deviation).add_(d_y)
        d_embed, d_position = (d_x.t() @ rows, d_x.view(shape).sum(0)) if train else (None, None)
        d_passed = (d_x @ embed).view(ctx.shape) if ctx.needs_input_grad[1] else None
        return None, d_passed, d_scale, d_shift, d_embed, d_position, *d_in, *d_out, *d_head


def _layer_backward(
    d_y: Tensor, out_weight: Tensor, layer: Tensors, heads: int, shape: tuple[int, int, int]
) -> Tensors:
    """Gradients of queries, keys, values and hidden units (B N, ...) from that of the layer's output."""
    batch, tokens, width = shape
    query, key, value, hidden, attention, _, _ = layer
    by_head = (batch, tokens * heads, width // heads)
    d_attended = torch.mm(d_y, out_weight[:, :width])
    d_active = torch.mm(d_y, out_weight[:, width:])
    d_query_key_value = attend_backward(
        d_attended.view(by_head), query.view(by_head), key.view(by_head), value.view(by_head), attention
    )
    torch.ops.aten.silu_backward.grad_input(d_active, hidden, grad_input=d_active)  # now that of `hidden`
    return *(part.view(-1, width) for part in d_query_key_value), d_active


def _in_backward(d_projected: Tensors, modulated: Tensor) -> tuple[Tensor, Tensor]:
    """Gradients of the projection in: weight (outputs, W) and bias."""
    width = modulated.shape[1]
    weight = modulated.new_empty((sum(part.shape[1] for part in d_projected), width))
    for part, out in zip(d_projected, _cut(weight, width), strict=True):
        torch.mm(part.t(), modulated, out=out)
    return weight, torch.cat([part.sum(0) for part in d_projected])


def _out_backward(d_y: Tensor, attended: Tensor, active: Tensor) -> tuple[Tensor, Tensor]:
    """Gradients of the projection out: weight (W, inputs) and bias."""
    width = d_y.shape[1]
    weight = d_y.new_empty((width, width + active.shape[1]))
    torch.mm(d_y.t(), attended, out=weight[:, :width])
    torch.mm(d_y.t(), active, out=weight[:, width:])
    return weight, d_y.sum(0)
