"""Waves of the numbers that a critic sees: it can tell millimetres apart that range over decimetres.

A network learns the slow changes of a function first, and a short training ends before the fast ones come. A
value changes fast where a grasp just succeeds or just fails (Yang, Ajay and Agrawal 2022, "Overcoming the
spectral bias of neural value approximation"; fixed frequencies as in Tancik et al. 2020).
"""

from collections.abc import Sequence

import torch
from torch import Tensor


def fourier_count(numbers: int, frequencies: Sequence[float]) -> int:
    """How many features come of `numbers`."""
    return numbers * (1 + 2 * len(frequencies))


def fourier_features(x: Tensor, frequencies: Sequence[float]) -> Tensor:
    """Numbers x (B, D), in deviations, to x, sin(w x), cos(w x) for all frequencies w, in rad a deviation."""
    waves = [wave(frequency * x) for frequency in frequencies for wave in (torch.sin, torch.cos)]
    return torch.cat((x, *waves), dim=1)
