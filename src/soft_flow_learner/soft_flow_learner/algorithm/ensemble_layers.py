"""Layers of an ensemble whose members are computed together: every weight has a first axis of members."""

import math

import torch
import torch.nn.functional as F  # noqa: N812 - its usual name
from torch import Tensor, nn

from soft_flow_learner.algorithm.ensemble_pass import EnsembleLayerPass
from soft_flow_policy.small_attention import has_written_out_gradient


def held(parameter: Tensor, frozen: bool) -> Tensor:
    """The parameter, without its gradient if `frozen`."""
    return parameter.detach() if frozen else parameter


class EnsembleLinear(nn.Module):
    """y_e = x_e W_e + b_e for all members e in one batched product."""

    def __init__(self, members: int, inputs: int, outputs: int) -> None:
        """Weights (E, inputs, outputs), each member with its own random ones."""
        super().__init__()
        bound = 1 / math.sqrt(inputs)
        self.weight = nn.Parameter(torch.empty(members, inputs, outputs).uniform_(-bound, bound))
        self.bias = nn.Parameter(torch.empty(members, 1, outputs).uniform_(-bound, bound))

    def forward(self, x: Tensor, frozen: bool = False) -> Tensor:
        """Rows (E, N, inputs), or (N, inputs) that all members share, to (E, N, outputs).

        If `frozen`, gradients reach the rows, not the weights.
        """
        if x.dim() == 2:
            x = x.expand(self.weight.shape[0], *x.shape)
        return torch.baddbmm(held(self.bias, frozen), x, held(self.weight, frozen))


class EnsembleTransformerLayer(nn.Module):
    """Pre-norm attention and MLP side by side, for E members (see the policy's TransformerLayer).

    The norms need no scale and shift of their own: the linear map that follows has them.
    """

    def __init__(self, members: int, width: int, heads: int, mlp_ratio: int) -> None:
        """`width` must be a multiple of `heads`."""
        super().__init__()
        self.members, self.width, self.heads, self.hidden = members, width, heads, mlp_ratio * width
        self.keys_values = EnsembleLinear(members, width, 2 * width)
        self.query_hidden = EnsembleLinear(members, width, width + self.hidden)
        self.project_out = EnsembleLinear(members, width + self.hidden, width)

    def forward(self, x: Tensor, tokens: int, answers: int, frozen: bool = False) -> Tensor:
        """Rows (E, B tokens, W) to (E, B answers, W).

        Args:
            x: the tokens of B sequences.
            tokens: tokens N of a sequence.
            answers: the first so many tokens are computed; the others are only attended to.
            frozen: gradients reach the rows, not the weights.
        """
        batch = x.shape[1] // tokens
        if has_written_out_gradient(x):
            shape = (self.members, batch, tokens, answers, self.heads)
            layers = (self.keys_values, self.query_hidden, self.project_out)
            weights = [held(w, frozen) for layer in layers for w in (layer.weight, layer.bias)]
            written_out: Tensor = EnsembleLayerPass.apply(shape, x, *weights)
            return written_out
        norm = F.layer_norm(x, (self.width,))
        asking = self._first(norm, batch, tokens, answers)
        query, hidden = self.query_hidden(asking, frozen).split((self.width, self.hidden), dim=-1)
        key, value = self.keys_values(norm, frozen).split(self.width, dim=-1)
        depth = self.width // self.heads
        query = query.reshape(self.members, batch, answers, self.heads, depth).transpose(2, 3)
        key = key.reshape(self.members, batch, tokens, self.heads, depth).permute(0, 1, 3, 4, 2)
        value = value.reshape(self.members, batch, tokens, self.heads, depth).transpose(2, 3)
        attended = torch.softmax((query * depth**-0.5) @ key, dim=-1) @ value
        attended = attended.transpose(2, 3).reshape(self.members, batch * answers, self.width)
        change = self.project_out(torch.cat((attended, F.silu(hidden)), dim=-1), frozen)
        return self._first(x, batch, tokens, answers) + change

    def _first(self, x: Tensor, batch: int, tokens: int, answers: int) -> Tensor:
        """The first `answers` tokens of every sequence, (E, B answers, W)."""
        if answers == tokens:
            return x
        return x.view(self.members, batch, tokens, self.width)[:, :, :answers].flatten(1, 2)
