"""A value as a histogram: regression by classification (HL-Gauss, Farebrother et al. 2024).

A scalar y becomes the probabilities that a Gaussian around it gives to the bins between the edges e_0..e_n,

    p_i = (Phi(u_(i+1)) - Phi(u_i)) / (Phi(u_n) - Phi(u_0)),    u_i = (e_i - y) / sigma,

and a predicted histogram stands for its mean. The support reaches beyond the returns by a few bins on either
side: without that margin the histogram of an extreme return is cut off, and its mean is biased inwards.
"""

import math
from typing import Annotated

import torch
from pydantic import Field, model_validator
from torch import Tensor, nn
from typing_extensions import Self

from soft_flow_contract.strict_model import StrictModel


class ValueConfig(StrictModel):
    """Support and resolution of values."""

    lowest_return: float = 0.0
    highest_return: float = 1.0
    bins: Annotated[int, Field(ge=11)] = 51  # of the whole support; 101 for returns wider than [0, 1]
    margin: Annotated[int, Field(ge=0)] = 5  # bins beyond the returns, on either side
    sigma: Annotated[float, Field(gt=0)] = 0.75  # of the Gaussian, in bins

    @model_validator(mode="after")
    def _consistent(self) -> Self:
        if self.lowest_return >= self.highest_return:
            raise ValueError(
                f"lowest_return {self.lowest_return} must be below highest_return {self.highest_return}"
            )
        if self.bins <= 2 * self.margin:
            raise ValueError(f"bins {self.bins} must exceed twice the margin {self.margin}")
        return self

    @property
    def bin_width(self) -> float:
        """Width of a bin, in units of return."""
        return (self.highest_return - self.lowest_return) / (self.bins - 2 * self.margin)


class HistogramValue(nn.Module):
    """Scalars to target histograms, logits to scalars."""

    def __init__(self, config: ValueConfig) -> None:
        """A support as configured."""
        super().__init__()
        width = config.bin_width
        low = config.lowest_return - config.margin * width
        edges = low + width * torch.arange(config.bins + 1, dtype=torch.float32)
        self.low, self.high = low, low + width * config.bins
        self._margin = config.margin * width / 2
        self._scale = 1.0 / (math.sqrt(2.0) * config.sigma * width)
        self.register_buffer("edges", edges, persistent=False)
        self.register_buffer("centres", (edges[:-1] + edges[1:]) / 2, persistent=False)
        self.edges: Tensor
        self.centres: Tensor

    def probabilities(self, value: Tensor) -> Tensor:
        """Values (...) to target histograms (..., bins); values beyond the support count as its end."""
        value = value.clamp(self.low, self.high).unsqueeze(-1)
        cumulative = torch.erf((self.edges - value) * self._scale)
        mass = cumulative[..., 1:] - cumulative[..., :-1]
        return mass / (cumulative[..., -1:] - cumulative[..., :1])

    def mean(self, logits: Tensor) -> Tensor:
        """Logits (..., bins) to values (...)."""
        return torch.softmax(logits, dim=-1) @ self.centres

    def outside(self, value: Tensor) -> Tensor:
        """Fraction of values (...) that lie more than half the margin beyond the returns, ()."""
        beyond = (value < self.low + self._margin) | (value > self.high - self._margin)
        return beyond.float().mean()

    def start_at(self, value: float) -> Tensor:
        """Logits (bins) of an untrained head that predicts about `value`, with some mass everywhere."""
        return torch.log(0.98 * self.probabilities(torch.tensor(value)) + 0.02 / len(self.centres))
