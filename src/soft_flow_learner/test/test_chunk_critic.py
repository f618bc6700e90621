"""Laws of the chunked critic."""

import pytest
import torch

from soft_flow_learner.algorithm.chunk_critic import ChunkCritic, CriticConfig
from soft_flow_learner.algorithm.ensemble_layers import EnsembleLinear, EnsembleTransformerLayer

PROPRIOCEPTION, IMAGES, HORIZON, DIMENSION = 5, 2, 4, 3


def make_critic(members: int = 3, randomize: bool = True, **config: object) -> ChunkCritic:
    torch.manual_seed(0)
    critic = ChunkCritic(
        CriticConfig(members=members, width=16, **config), PROPRIOCEPTION, IMAGES, HORIZON, DIMENSION
    ).double()
    if randomize:
        torch.nn.init.normal_(critic.head.weight, std=0.5)
        if critic.model is not None:
            torch.nn.init.normal_(critic.model.linear.weight, std=0.1)
            torch.nn.init.normal_(critic.model.change.weight, std=0.1)
    return critic


def draw(batch: int = 5) -> tuple[torch.Tensor, torch.Tensor]:
    generator = torch.Generator().manual_seed(1)
    observation = torch.randn(batch, PROPRIOCEPTION + IMAGES, generator=generator, dtype=torch.float64)
    return observation, torch.rand(batch, HORIZON, DIMENSION, generator=generator, dtype=torch.float64)


def test_members_computed_together_equal_members_computed_alone() -> None:
    critic, (observation, actions) = make_critic(), draw()
    together = critic(observation, actions)
    for member in range(3):
        alone = make_critic(members=1)
        state = {
            name: value if name.startswith("model.") else value[member : member + 1]
            for name, value in critic.state_dict().items()
        }
        alone.load_state_dict(state)
        assert (alone(observation, actions)[0] - together[member]).abs().max() < 1e-12


def test_members_differ() -> None:
    logits = make_critic()(*draw())
    assert (logits[0] - logits[1]).abs().max() > 0.01
    assert (logits[1] - logits[2]).abs().max() > 0.01


def test_the_estimate_is_the_minimum_over_members() -> None:
    critic = make_critic()
    logits = critic(*draw())
    each = torch.stack([critic.histogram.mean(member) for member in logits])
    assert (critic.value(logits) - each.min(dim=0).values).abs().max() < 1e-14
    assert (each.max(dim=0).values > critic.value(logits)).all()


def test_reading_only_the_first_tokens_changes_nothing_about_them() -> None:
    torch.manual_seed(0)
    layer = EnsembleTransformerLayer(2, 16, 2, 2).double()
    x = torch.randn(2, 5 * 6, 16, dtype=torch.float64)
    whole = layer(x, 6, 6).view(2, 5, 6, 16)
    assert (layer(x, 6, 1).view(2, 5, 16) - whole[:, :, 0]).abs().max() < 1e-12


def test_sequences_of_a_batch_do_not_see_each_other() -> None:
    critic, (observation, actions) = make_critic(), draw()
    changed = actions.clone()
    changed[0] += 1
    difference = (critic(observation, changed) - critic(observation, actions)).abs().amax(dim=(0, 2))
    assert difference[0] > 1e-3
    assert difference[1:].max() == 0


@pytest.mark.parametrize("layers", [1, 2, 3])
def test_every_action_of_the_chunk_and_the_observation_matter(layers: int) -> None:
    critic, (observation, actions) = make_critic(layers=layers), draw()
    observation.requires_grad_()
    actions.requires_grad_()
    critic.value(critic(observation, actions)).sum().backward()
    assert actions.grad is not None and observation.grad is not None
    assert actions.grad.abs().amax(dim=(0, 2)).min() > 1e-6
    assert observation.grad.abs().amax(dim=0).min() > 1e-6


def test_detached_values_are_equal_and_send_gradients_to_actions_only() -> None:
    critic, (observation, actions) = make_critic(), draw()
    actions.requires_grad_()
    logits = critic(observation, actions, frozen=True)
    assert torch.equal(logits, critic(observation, actions))
    critic.value(logits).sum().backward()
    assert actions.grad is not None and actions.grad.abs().max() > 0
    assert all(parameter.grad is None for parameter in critic.parameters())


def test_a_new_critic_expects_almost_nothing() -> None:
    critic = make_critic(randomize=False)
    values = critic.value(critic(*draw()))
    assert values.abs().max() < 0.05


def test_a_member_attends_and_computes_as_plain_operations_do() -> None:
    torch.manual_seed(0)
    layer = EnsembleTransformerLayer(2, 8, 2, 2).double()
    x = torch.randn(2, 3 * 5, 8, dtype=torch.float64)
    together = layer(x, 5, 2)
    for member in range(2):

        def linear(part: EnsembleLinear, rows: torch.Tensor, member: int = member) -> torch.Tensor:
            return rows @ part.weight[member] + part.bias[member]

        tokens = x[member].view(3, 5, 8)
        normed = torch.nn.functional.layer_norm(tokens, (8,))
        query, hidden = linear(layer.query_hidden, normed[:, :2]).split((8, 16), dim=-1)
        key, value = linear(layer.keys_values, normed).chunk(2, dim=-1)
        query, key, value = (part.unflatten(-1, (2, 4)).transpose(1, 2) for part in (query, key, value))
        attended = torch.nn.functional.scaled_dot_product_attention(query, key, value)
        joined = torch.cat((attended.transpose(1, 2).flatten(2), torch.nn.functional.silu(hidden)), dim=-1)
        alone = tokens[:, :2] + linear(layer.project_out, joined)
        assert (together[member] - alone.flatten(0, 1)).abs().max() < 1e-12


@pytest.mark.parametrize("answers", [1, 3])
def test_the_layers_gradient_is_that_of_finite_differences(answers: int) -> None:
    torch.manual_seed(0)
    layer = EnsembleTransformerLayer(2, 4, 2, 1).double()
    names, weights = zip(*layer.named_parameters(), strict=True)

    def pass_on(x: torch.Tensor, *values: torch.Tensor) -> torch.Tensor:
        parameters = dict(zip(names, values, strict=True))
        return torch.func.functional_call(layer, parameters, (x, 3, answers))

    variables = [torch.randn(2, 2 * 3, 4, dtype=torch.float64), *weights]
    assert torch.autograd.gradcheck(pass_on, [value.detach().requires_grad_() for value in variables])
