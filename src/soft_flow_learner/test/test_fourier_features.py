import math

import torch
from torch import Tensor, nn

from soft_flow_learner.algorithm.fourier_features import fourier_count, fourier_features


def test_waves_stand_beside_the_numbers_they_are_of() -> None:
    x = torch.tensor([[0.5, -1.0]])
    by_hand = [0.5, -1.0, *map(math.sin, (1.0, -2.0)), *map(math.cos, (1.0, -2.0))]
    assert torch.allclose(fourier_features(x, (2.0,)), torch.tensor([by_hand]))
    assert fourier_features(x, (3.0, 9.0)).shape[1] == fourier_count(2, (3.0, 9.0)) == 10
    assert torch.equal(fourier_features(x, ()), x)


def test_with_waves_a_short_training_learns_a_narrow_success_that_it_misses_without() -> None:
    def error(frequencies: tuple[float, ...]) -> float:
        torch.manual_seed(0)
        x = torch.linspace(-2, 2, 401).unsqueeze(1)
        wanted = (x.abs() < 0.1).float()  # a grasp that holds within a tenth of a deviation
        network = nn.Sequential(
            nn.Linear(fourier_count(1, frequencies), 64),
            nn.SiLU(),
            nn.Linear(64, 64),
            nn.SiLU(),
            nn.Linear(64, 1),
        )
        optimizer = torch.optim.Adam(network.parameters(), 1e-3)
        for _ in range(200):
            loss: Tensor = (network(fourier_features(x, frequencies)) - wanted).square().mean()
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
        return float(loss.detach())

    assert error((3.0, 9.0)) < 0.5 * error(())
