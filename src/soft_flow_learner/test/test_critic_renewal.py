"""A critic that starts anew."""

import torch
from algorithm_maker import generator, make_algorithm, make_batch, snapshot

from soft_flow_learner.algorithm.algorithm_config import Objective
from soft_flow_learner.algorithm.critic_renewal import renew_critic
from soft_flow_learner.algorithm.soft_flow_algorithm import SoftFlowUpdate


def trained() -> SoftFlowUpdate:
    update = SoftFlowUpdate(make_algorithm(), Objective())
    for _ in range(3):
        update.update(make_batch(), generator())
    return update


def test_members_and_target_start_anew_together_and_nothing_else_changes() -> None:
    update = trained()
    algorithm = update.algorithm
    assert algorithm.critic.model is not None
    before = snapshot(algorithm)
    renew_critic(update, seed=5)
    after = algorithm.state_dict()
    changed = {name for name, value in before.items() if not torch.equal(value, after[name])}
    members = {name for name, _ in algorithm.critic.named_parameters() if not name.startswith("model.")}
    assert changed <= {f"{part}.{name}" for part in ("critic", "target") for name in members}
    assert f"critic.{'observation_in.weight'}" in changed
    for name in members:
        torch.testing.assert_close(after[f"critic.{name}"], after[f"target.{name}"], rtol=0, atol=0)


def test_a_new_critic_has_no_moments_and_values_all_chunks_alike() -> None:
    update = trained()
    algorithm, batch = update.algorithm, make_batch()
    renew_critic(update, seed=5)
    assert not any(parameter in update.optimizer.state for parameter in update.critic)
    assert all(parameter in update.optimizer.state for parameter in (*update.actor, *update.model))
    features = algorithm.critic_input(batch.observation["proprioception"], torch.zeros(len(batch.chunk), 0))
    values = [algorithm.critic.value(algorithm.critic(features, batch.executed * sign)) for sign in (1, -1)]
    torch.testing.assert_close(values[0], values[1])
    update.update(batch, generator())
    assert all(parameter in update.optimizer.state for parameter in update.critic)


def test_it_is_renewed_equally_by_equal_seeds_and_leaves_randomness_alone() -> None:
    weights, drawn = [], []
    for seed in (5, 5, 6):
        update = trained()
        torch.manual_seed(1)
        renew_critic(update, seed)
        weights.append(update.algorithm.critic.observation_in.weight.detach().clone())
        drawn.append(torch.rand(1).item())
    assert torch.equal(weights[0], weights[1])
    assert not torch.equal(weights[0], weights[2])
    assert len(set(drawn)) == 1
