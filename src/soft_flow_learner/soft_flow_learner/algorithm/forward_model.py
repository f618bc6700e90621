"""What proprioception will be once a chunk has been executed, so that a critic sees what the chunk leads to.

From closed-loop data a critic learns which states are good long before it learns which chunks are: in any one
state all chunks of the data are nearly the same. A forward model turns what is known of states into what is
known of chunks: where the arm will be follows from the chunk, and every window of the data teaches it,
successful or not. Ours; of the kind of model-based value expansion (Feinberg et al. 2018, arXiv 1803.00101).
"""

import torch
import torch.nn.functional as F  # noqa: N812 - its usual name
from torch import Tensor, nn

from soft_flow_learner.algorithm.ensemble_layers import held
from soft_flow_policy.proprioception_encoder import LIMIT

WIDTH = 128


class ForwardModel(nn.Module):
    """Proprioception o_t and a chunk a_t..t+h-1 to proprioception o_(t+h), in deviations: all at once.

    A linear map and a small network on top of what stays as it is.
    """

    def __init__(self, proprioception: int, horizon: int, dimension: int) -> None:
        """Of `proprioception` numbers and chunks (horizon h, dimension A); foresees no change at first."""
        super().__init__()
        seen = proprioception + horizon * dimension
        self.linear = nn.Linear(seen, proprioception)
        self.hidden = nn.Linear(seen, WIDTH)
        self.change = nn.Linear(WIDTH, proprioception, bias=False)
        for parameter in (self.linear.weight, self.linear.bias, self.change.weight):
            nn.init.zeros_(parameter)

    def forward(self, proprioception: Tensor, actions: Tensor, frozen: bool = False) -> Tensor:
        """Normalized (B, D) and chunks (B, h, A), contract space, to normalized (B, D).

        If `frozen`, gradients reach the inputs, not the model.
        """
        seen = torch.cat((proprioception, actions.flatten(1)), dim=1)
        hidden = F.silu(F.linear(seen, held(self.hidden.weight, frozen), held(self.hidden.bias, frozen)))
        drift = F.linear(seen, held(self.linear.weight, frozen), held(self.linear.bias, frozen))
        ahead = proprioception + drift + F.linear(hidden, held(self.change.weight, frozen))
        return ahead.clamp(-LIMIT, LIMIT)
