"""Norm and attention over few tokens, each with its gradient written out: for layers that train on a CPU.

Their built-in counterparts are made for long rows. Over 8 tokens of 64 numbers a softmax takes five times as
long as its four elementary operations, and a layer norm twice as long. The passes of `conditioner_pass.py`
and of the critic's layers put these functions together into one node of autograd's graph.
"""

import torch
from torch import Tensor

EPSILON = 1e-5  # that of torch.nn.functional.layer_norm


def has_written_out_gradient(*tensors: Tensor) -> bool:
    """Whether written-out passes apply: on a CPU, without autocast, and not while a graph is exported."""
    if torch.jit.is_tracing() or torch.is_autocast_enabled("cpu"):
        return False
    return all(tensor.device.type == "cpu" for tensor in tensors)


def normalize(x: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """Rows (..., W) to zero mean and unit variance; also their mean and 1/deviation (..., 1)."""
    mean = x.mean(-1, keepdim=True)
    centred = x - mean
    deviation = centred.square().mean(-1, keepdim=True).add_(EPSILON).rsqrt_()
    return centred.mul_(deviation), mean, deviation


def normalize_backward(gradient: Tensor, x: Tensor, mean: Tensor, deviation: Tensor) -> Tensor:
    """Gradient with respect to x of `normalize`, all as it returned them."""
    inputs: Tensor = torch.ops.aten.native_layer_norm_backward(
        gradient, x, x.shape[-1:], mean, deviation, None, None, (True, False, False)
    )[0]
    return inputs


def attend(query: Tensor, key: Tensor, value: Tensor, mask: Tensor | None = None) -> tuple[Tensor, Tensor]:
    """softmax(q k^T / sqrt(D) + mask) v.

    Args:
        query: (G, N, D), contiguous, of G sequences and heads.
        key: (G, M, D).
        value: (G, M, D).
        mask: (1, N, M) of zeros and -inf, or None.

    Returns:
        What is attended to (G, N, D), and the weights (G, N, M).
    """
    scale = query.shape[-1] ** -0.5
    if mask is None:
        weights = torch.bmm(query, key.transpose(1, 2)).mul_(scale)
    else:
        weights = torch.baddbmm(mask, query, key.transpose(1, 2), alpha=scale)
    weights.sub_(weights.amax(-1, keepdim=True)).exp_()
    weights.div_(weights.sum(-1, keepdim=True))
    return torch.bmm(weights, value), weights


def attend_backward(
    gradient: Tensor, query: Tensor, key: Tensor, value: Tensor, weights: Tensor
) -> tuple[Tensor, Tensor, Tensor]:
    """Gradients (of query, key, value) of `attend`, given that of what is attended to (G, N, D)."""
    scores = torch.bmm(gradient, value.transpose(1, 2)).mul_(weights)
    scores.addcmul_(weights, scores.sum(-1, keepdim=True), value=-1).mul_(query.shape[-1] ** -0.5)
    return (
        torch.bmm(scores, key),
        torch.bmm(scores.transpose(1, 2), query),
        torch.bmm(weights.transpose(1, 2), gradient),
    )
