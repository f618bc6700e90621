"""A critic that starts anew, on all the data that there is by now.

A critic that is trained while data trickles in learns the first few episodes by heart, and what comes later
finds it hard to move (primacy bias; Nikishin et al. 2022, arXiv 2205.07802, who reset networks therefore).
"""

import torch

from soft_flow_learner.algorithm.chunk_critic import ChunkCritic
from soft_flow_learner.algorithm.soft_flow_algorithm import SoftFlowUpdate


def renew_critic(optimization: SoftFlowUpdate, seed: int) -> None:
    """Give the members and their target new random weights and moments; actor and forward model stay.

    A new critic values all chunks alike, so that until it has learned, the first of several chunks is taken.
    """
    algorithm = optimization.algorithm
    critic, trained = algorithm.critic, optimization.critic
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        new = ChunkCritic(*critic.shape)
    with torch.no_grad():
        for module in (critic, algorithm.target):
            for parameter, value in zip(module.members_parameters(), new.members_parameters(), strict=True):
                parameter.copy_(value)
    for parameter in trained:
        optimization.optimizer.state.pop(parameter, None)
