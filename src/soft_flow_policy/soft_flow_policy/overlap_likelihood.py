"""How well the rest of an earlier chunk fits what is observed now, in exact likelihoods.

A chunk a (T, A) was planned at tick k, and its first h actions were executed. At tick k + h the policy
samples b from the new observation o. Where they overlap, the earlier chunk had planned e = a_h..a_(T-1) and
the new one b_0..b_(M-1), M = T - h. The earlier plan, continued as b is, is rescored:

    s = ( log pi(b | o) - log pi(e, b_M..b_(T-1) | o) ) / (M A)        nats a number

It is small while the world goes on as the policy expected, and large when what is observed now makes what was
just planned unlikely.
"""

import torch
from torch import Tensor

from soft_flow_policy.policy import FlowPolicy


def rescore(policy: FlowPolicy, context: Tensor, earlier: Tensor, chunk: Tensor) -> Tensor:
    """Log density (...) of the earlier plan continued as the new chunk is.

    Args:
        policy: that judges.
        context: (..., C) of the new observation.
        earlier: (..., M, A) steps of the earlier chunk that were not executed, contract space.
        chunk: (..., T, A) the new one, contract space.
    """
    continued = torch.cat((earlier, chunk[..., earlier.shape[-2] :, :]), dim=-2)
    return policy.log_prob_given_context(context, continued)


def overlap_signal(log_prob: float, rescored: float, numbers: int) -> float:
    """The signal s from both log densities, nats; `numbers` is M A."""
    return (log_prob - rescored) / numbers
