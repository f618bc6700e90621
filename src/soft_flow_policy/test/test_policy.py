from collections.abc import Callable

import pytest
import torch

from soft_flow_contract.errors import SpecificationError
from soft_flow_contract.task_specification import TaskSpecification
from soft_flow_policy.action_normalizer import ActionNormalizer
from soft_flow_policy.chunk_denoiser import ChunkDenoiser
from soft_flow_policy.policy import FlowPolicy
from soft_flow_policy.policy_config import FlowPolicyConfig


def test_normalizer_maps_quantiles_to_one_and_back_without_clipping() -> None:
    normalizer = ActionNormalizer(4, 2)
    actions = torch.stack((torch.linspace(-0.5, 1, 1001), torch.linspace(0, 1e-3, 1001)), dim=1)
    normalizer.fit(actions)
    model = normalizer.to_model(actions)
    assert model[10, 0].item() == pytest.approx(-1, abs=1e-3)
    assert model[990, 0].item() == pytest.approx(1, abs=1e-3)
    assert model[-1, 0] > 1
    assert model[:, 1].abs().max() < 0.01, "the floor keeps a constant dimension from being blown up"
    assert torch.allclose(normalizer.to_contract(model), actions, atol=1e-6)


def test_density_in_contract_space_includes_the_normalizers_jacobian(
    policy: FlowPolicy, make_observations: Callable
) -> None:
    observation = make_observations(policy.specification, 2)
    chunks = torch.rand(2, policy.length, policy.dimension) - 0.5
    jacobian = torch.autograd.functional.jacobian(policy.normalizer.to_model, chunks[0].double()).reshape(
        368, 368
    )
    expected = torch.linalg.slogdet(jacobian).logabsdet
    model_space = policy.flow.log_prob(policy.normalizer.to_model(chunks), policy.encode(observation))
    actual = policy.log_prob(observation, chunks) - model_space
    assert actual[0].item() == pytest.approx(expected.item(), rel=1e-5)


@pytest.mark.parametrize("denoise", [False, True])
def test_log_prob_of_a_sample_is_that_of_its_actions(
    policy: FlowPolicy, denoise: bool, make_observations: Callable
) -> None:
    observation = make_observations(policy.specification, 4)
    sample = policy.sample(observation, 0.7, generator=torch.Generator().manual_seed(0), denoise=denoise)
    assert torch.allclose(policy.log_prob(observation, sample.actions), sample.log_prob, atol=0.05)


def test_nll_is_repeatable_with_a_generator_and_trains_every_parameter(
    specification: TaskSpecification, make_observations: Callable, make_policy: Callable
) -> None:
    policy = make_policy(specification).train()
    observation = make_observations(specification, 4)
    chunks = torch.rand(4, policy.length, policy.dimension) - 0.5
    first = policy.nll(observation, chunks, torch.Generator().manual_seed(3))
    second = policy.nll(observation, chunks, torch.Generator().manual_seed(3))
    assert first.shape == (4,)
    assert torch.equal(first, second)
    first.mean().backward()
    for name, parameter in policy.named_parameters():
        assert parameter.grad is not None and parameter.grad.abs().max() > 0, name


def test_default_policy_does_not_see_last_action_and_velocities(
    policy: FlowPolicy, make_observations: Callable
) -> None:
    observation = make_observations(policy.specification, 1)
    context = policy.encode(observation)
    slices = policy.specification.proprioception_slices
    for name, part in slices.items():
        changed = dict(observation, proprioception=observation["proprioception"].clone())
        changed["proprioception"][:, part] += 0.3
        same = torch.equal(policy.encode(changed), context)
        assert same == (name in ("last_action", "arm_joint_velocity")), name


def test_a_policy_without_cameras_ignores_the_images(
    specification: TaskSpecification, make_observations: Callable, make_policy: Callable
) -> None:
    policy = make_policy(specification, cameras=())
    observation = make_observations(specification, 2)
    without = {"proprioception": observation["proprioception"], "images": {}}
    assert torch.equal(policy.encode(observation), policy.encode(without))


def test_unknown_names_of_the_configuration_are_refused(specification: TaskSpecification) -> None:
    with pytest.raises(ValueError, match="no camera 'front'"):
        FlowPolicy(FlowPolicyConfig(cameras=("front",)), specification)
    with pytest.raises(ValueError, match="no field 'speed'"):
        FlowPolicy(FlowPolicyConfig(proprioception_fields=("speed",)), specification)
    with pytest.raises(SpecificationError, match="did you mean 'context_width'"):
        FlowPolicyConfig.from_mapping({"contxt_width": 3}, "policy.yaml")


def test_denoiser_removes_noise_but_keeps_each_mode_and_joins_the_previous_action() -> None:
    generator = torch.Generator().manual_seed(0)
    length, sigma = 16, 0.05
    phase = torch.rand(2000, 1, 3, generator=generator) * 6.28
    clean = torch.sin(0.15 * torch.arange(-1, length)[None, :, None] + phase)
    denoiser = ChunkDenoiser(length, 3)
    denoiser.fit(clean[:, 1:], clean[:, 0], sigma)
    noisy = clean[:, 1:] + sigma * torch.randn(clean[:, 1:].shape, generator=generator)
    smooth = denoiser(noisy, clean[:, 0])

    def roughness(chunks: torch.Tensor) -> float:
        whole = torch.cat((clean[:, :1], chunks), dim=1)
        return whole.diff(n=2, dim=1).square().mean().sqrt().item()

    assert roughness(noisy) > 3 * roughness(clean[:, 1:])
    assert roughness(smooth) < 1.5 * roughness(clean[:, 1:])
    assert (smooth - clean[:, 1:]).square().mean().sqrt() < 0.6 * sigma


def test_an_unfitted_denoiser_is_the_identity() -> None:
    chunk = torch.randn(3, 16, 2)
    assert torch.equal(ChunkDenoiser(16, 2)(chunk, torch.randn(3, 2)), chunk)
