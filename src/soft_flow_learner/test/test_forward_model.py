"""Laws of the critic's forward model, and what it is there for."""

from dataclasses import replace

import pytest
import torch
from algorithm_maker import generator, make_algorithm, make_batch, snapshot

from soft_flow_learner.algorithm.algorithm_config import Objective
from soft_flow_learner.algorithm.chunk_critic import ChunkCritic, CriticConfig
from soft_flow_learner.algorithm.forward_model import ForwardModel
from soft_flow_learner.algorithm.soft_flow_algorithm import SoftFlow, SoftFlowUpdate
from soft_flow_policy.observation_encoder import ObservationBatch

PROPRIOCEPTION, HORIZON, DIMENSION = 3, 2, 2


def randomized(model: ForwardModel) -> ForwardModel:
    for parameter in model.parameters():
        torch.nn.init.normal_(parameter, std=0.2)
    return model


def test_a_new_model_foresees_that_all_stays_as_it_is() -> None:
    model = ForwardModel(PROPRIOCEPTION, HORIZON, DIMENSION)
    now = torch.randn(5, PROPRIOCEPTION).clamp(-2, 2)
    assert torch.equal(model(now, torch.randn(5, HORIZON, DIMENSION)), now)


def features_of(algorithm: SoftFlow, observation: ObservationBatch) -> torch.Tensor:
    proprioception = observation["proprioception"]
    return algorithm.critic_input(proprioception, torch.zeros(len(proprioception), 0))


def test_what_a_model_learns_from_is_what_came_after_whole_windows() -> None:
    algorithm, batch = make_algorithm(), make_batch()
    assert algorithm.critic.model is not None
    randomized(algorithm.critic.model)
    steps = batch.steps.clone()
    steps[1:] = algorithm.horizon - 1  # all but the first reach the end of their episode earlier
    batch = replace(batch, steps=steps)
    now, then = (
        algorithm.scale.normalize(seen["proprioception"][:1])
        for seen in (batch.observation, batch.next_observation)
    )
    foreseen = algorithm.critic.model(now, batch.executed[:1])
    ahead = algorithm.foresee(features_of(algorithm, batch.observation), batch)
    later = features_of(algorithm, batch.next_observation)
    loss = algorithm.model_loss(ahead, later, batch)
    assert loss is not None
    expected = (foreseen - then).square().mean().item() / len(steps)
    assert loss.item() == pytest.approx(expected, rel=1e-5)
    nothing = algorithm.model_loss(ahead, later, replace(batch, steps=torch.zeros_like(steps)))
    assert nothing is not None and nothing.item() == 0


def test_only_its_own_loss_trains_it() -> None:
    algorithm, batch = make_algorithm(), make_batch()
    assert algorithm.critic.model is not None
    ahead = algorithm.foresee(features_of(algorithm, batch.observation), batch)
    loss, _ = algorithm.critic_loss(ahead, batch, batch.reward)
    loss.backward()
    assert all(parameter.grad is None for parameter in algorithm.critic.model.parameters())
    loss = algorithm.model_loss(ahead, features_of(algorithm, batch.next_observation), batch)
    assert loss is not None
    loss.backward()
    assert algorithm.critic.model.change.weight.grad is not None


@pytest.mark.parametrize("train_critic", [True, False])
def test_it_is_trained_and_left_alone_together_with_the_critic(train_critic: bool) -> None:
    algorithm, batch = make_algorithm(), make_batch()
    assert algorithm.critic.model is not None
    before = snapshot(algorithm.critic.model)
    metrics = SoftFlowUpdate(algorithm, Objective(train_critic=train_critic)).update(batch, generator())
    after = algorithm.critic.model.state_dict()
    assert any(not torch.equal(value, after[name]) for name, value in before.items()) == train_critic
    assert ("model" in metrics) == train_critic


def test_a_critic_without_a_model_sees_what_is() -> None:
    critic = ChunkCritic(CriticConfig(width=8, forward_model=False), PROPRIOCEPTION, 0, HORIZON, DIMENSION)
    assert critic.model is None
    algorithm = make_algorithm(critic=CriticConfig(width=8, forward_model=False))
    batch = make_batch()
    features = features_of(algorithm, batch.observation)
    assert algorithm.foresee(features, batch) is features
    assert algorithm.model_loss(features, features, batch) is None
    assert "model" not in SoftFlowUpdate(algorithm, Objective()).update(batch, generator())


def choice_after_training(forward_model: bool) -> float:
    """How often a critic chooses rightly among chunks of which the data of a state holds but one.

    A point is moved by what the chunk adds up to and is worth what it then lies near to the origin. The
    data's chunks are always the same but for a tremble; the chunks to choose from are not.
    """
    torch.manual_seed(0)
    config = CriticConfig(width=32, forward_model=forward_model)
    critic = ChunkCritic(config, 2, 0, HORIZON, 2)
    groups = [{"params": critic.members_parameters(), "lr": 1e-3}]
    if critic.model is not None:
        groups.append({"params": list(critic.model.parameters()), "lr": 1e-3})
    optimizer = torch.optim.Adam(groups)

    def after(points: torch.Tensor, chunks: torch.Tensor) -> torch.Tensor:
        return points + chunks.sum(dim=1)

    def worth(points: torch.Tensor) -> torch.Tensor:
        return torch.exp(-points.norm(dim=1))

    for _ in range(400):
        points, tremble = torch.randn(128, 2), 0.05 * torch.randn(128, HORIZON, 2)
        wanted = critic.histogram.probabilities(worth(after(points, tremble)))
        loss = -(wanted * critic(points, tremble).log_softmax(-1)).sum(-1).mean()
        if critic.model is not None:
            loss = loss + (critic.model(points, tremble) - after(points, tremble)).square().mean()
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    points = torch.randn(500, 2)
    chunks = 0.3 * torch.randn(2, 500, HORIZON, 2)
    with torch.no_grad():
        first, second = (critic.value(critic(points, option)) for option in chunks)
    right = worth(after(points, chunks[0])) > worth(after(points, chunks[1]))
    return float(((first > second) == right).float().mean())


def test_a_critic_that_sees_what_chunks_lead_to_tells_chunks_apart_that_the_data_hardly_varies() -> None:
    with_model, without = choice_after_training(True), choice_after_training(False)
    assert with_model > 0.8
    assert with_model > without + 0.15
