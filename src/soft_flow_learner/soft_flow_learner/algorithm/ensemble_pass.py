"""A pass of the critic's transformer layer over a batch, with its gradient written out.

The function is that of `EnsembleTransformerLayer`, and its tests compare the two; see the policy's
`conditioner_pass.py` for the reason.
"""

from typing import Any

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable

from soft_flow_policy.small_attention import attend, attend_backward, normalize, normalize_backward

Saved = tuple[Tensor, ...]
Shape = tuple[int, int, int, int, int]  # members, batch, tokens, answers, heads


def _first(x: Tensor, shape: Shape) -> Tensor:
    """View of the answering tokens (E, B, answers, W) of all tokens (E, B tokens, W)."""
    members, batch, tokens, answers, _ = shape
    return x.view(members, batch, tokens, -1)[:, :, :answers]


def _forward(shape: Shape, x: Tensor, weights: Saved) -> Saved:
    """The layer's output (E, B answers, W), and what the gradient needs."""
    keys_values, keys_values_bias, query_hidden, query_hidden_bias, out, out_bias = weights
    members, batch, tokens, answers, heads = shape
    width = x.shape[-1]
    normed, mean, deviation = normalize(x)
    asking = _first(normed, shape).reshape(members, batch * answers, width)
    projected = torch.baddbmm(query_hidden_bias, asking, query_hidden)
    query = projected[..., :width].view(members, batch, answers, heads, -1).transpose(2, 3)
    query = query.reshape(members * batch * heads, answers, -1)
    key, value = (
        torch.baddbmm(keys_values_bias, normed, keys_values)
        .view(members, batch, tokens, 2, heads, -1)
        .permute(3, 0, 1, 4, 2, 5)
        .reshape(2, members * batch * heads, tokens, -1)
        .unbind()
    )
    attended, attention = attend(query, key, value)
    joined = torch.empty_like(projected)
    joined[..., :width].view(members, batch, answers, heads, -1).copy_(
        attended.view(members, batch, heads, answers, -1).transpose(2, 3)
    )
    torch.ops.aten.silu.out(projected[..., width:], out=joined[..., width:])
    y = torch.baddbmm(out_bias, joined, out)
    y.view(members, batch, answers, width).add_(_first(x, shape))
    return y, x, mean, deviation, normed, asking, projected, query, key, value, attention, joined


class EnsembleLayerPass(torch.autograd.Function):
    """`apply(shape, x, *weights)`: tokens (E, B N, W) to the answers' (E, B answers, W).

    weights: weight and bias of keys and values, of query and hidden units, and of the projection out.
    """

    @staticmethod
    def forward(ctx: Any, shape: Shape, x: Tensor, *weights: Tensor) -> Tensor:  # noqa: ANN401
        """See the class."""
        y, *saved = _forward(shape, x, weights)
        if any(ctx.needs_input_grad):
            ctx.save_for_backward(*weights[::2], *saved)
            ctx.shape = shape
        return y

    @staticmethod
    @once_differentiable  # type: ignore[untyped-decorator]
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor | None, ...]:  # noqa: ANN401
        """Gradients of all inputs, from that of the output."""
        keys_values, query_hidden, out, x, mean, deviation, normed, asking, *saved = ctx.saved_tensors
        projected, query, key, value, attention, joined = saved
        wanted, shape = ctx.needs_input_grad[2:], ctx.shape
        gradient = gradient.contiguous()
        d_out = _weight_and_bias(joined, gradient) if wanted[4] else (None, None)
        d_projected, d_keys_values = _attention_backward(
            torch.bmm(gradient, out.transpose(1, 2)), projected, (query, key, value, attention), shape
        )
        d_query_hidden = _weight_and_bias(asking, d_projected) if wanted[2] else (None, None)
        d_weights = _weight_and_bias(normed, d_keys_values) if wanted[0] else (None, None)
        d_normed = torch.bmm(d_keys_values, keys_values.transpose(1, 2))
        d_asking = torch.bmm(d_projected, query_hidden.transpose(1, 2))
        asked = _first(d_normed, shape)
        asked.add_(d_asking.view(asked.shape))
        d_x = normalize_backward(d_normed, x, mean, deviation)
        _first(d_x, shape).add_(gradient.view(asked.shape))
        return None, d_x, *d_weights, *d_query_hidden, *d_out


def _weight_and_bias(inputs: Tensor, gradient: Tensor) -> tuple[Tensor, Tensor]:
    """Gradients of the members' weights (E, inputs, outputs) and biases (E, 1, outputs)."""
    return torch.bmm(inputs.transpose(1, 2), gradient), gradient.sum(1, keepdim=True)


def _attention_backward(
    d_joined: Tensor, projected: Tensor, attention: Saved, shape: Shape
) -> tuple[Tensor, Tensor]:
    """Gradients of [query; hidden] and of [key; value], from that of [attention; silu(hidden)]."""
    members, batch, tokens, answers, heads = shape
    width = attention[0].shape[-1] * heads
    d_attended = d_joined[..., :width].view(members, batch, answers, heads, -1).transpose(2, 3)
    d_query, *d_key_value = attend_backward(
        d_attended.reshape(members * batch * heads, answers, -1), *attention
    )
    d_projected = torch.empty_like(projected)
    d_projected[..., :width].view(members, batch, answers, heads, -1).copy_(
        d_query.view(members, batch, heads, answers, -1).transpose(2, 3)
    )
    torch.ops.aten.silu_backward.grad_input(
        d_joined[..., width:], projected[..., width:], grad_input=d_projected[..., width:]
    )
    d_keys_values = projected.new_empty((members, batch * tokens, 2 * width))
    parts = d_keys_values.view(members, batch, tokens, 2, heads, -1)
    for index, part in enumerate(d_key_value):
        parts[:, :, :, index].copy_(part.view(members, batch, heads, tokens, -1).transpose(2, 3))
    return d_projected, d_keys_values
