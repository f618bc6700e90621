"""The passes whose gradients are written out compute what the modules' equations say."""

from typing import Literal

import pytest
import torch

from soft_flow_policy.chunk_denoiser import ChunkDenoiser
from soft_flow_policy.conditioner import TransformerConditioner
from soft_flow_policy.coupling_pass import AffinePass, OrderPass
from soft_flow_policy.flow import ConditionalFlow, FlowConfig


def draw(*shape: int, seed: int = 0) -> torch.Tensor:
    generator = torch.Generator().manual_seed(seed)
    return torch.randn(shape, generator=generator, dtype=torch.float64)


def make_conditioner() -> TransformerConditioner:
    torch.manual_seed(0)
    conditioner = TransformerConditioner((4, 3), (4, 5), width=8, heads=2, mlp_ratio=2).double()
    for parameter in conditioner.parameters():
        torch.nn.init.normal_(parameter, std=0.4)
    return conditioner


def test_a_batch_is_conditioned_as_each_of_its_chunks_alone() -> None:
    conditioner = make_conditioner()
    passed, scale, shift = draw(6, 4, 3), draw(6, 1, 8, seed=1), draw(6, 1, 8, seed=2)
    together = conditioner(passed, (scale, shift))
    for index in range(6):
        alone = conditioner(passed[index], (scale[index, 0], shift[index, 0]))
        assert (together[index] - alone).abs().max() < 1e-12


def test_the_conditioners_gradient_is_that_of_finite_differences() -> None:
    conditioner = make_conditioner()
    inputs = [draw(2, 4, 3), draw(2, 1, 8, seed=1), draw(2, 1, 8, seed=2)]
    names, weights = zip(*conditioner.named_parameters(), strict=True)

    def condition(passed: torch.Tensor, *values: torch.Tensor) -> torch.Tensor:
        parameters = dict(zip(names, values[2:], strict=True))
        raw: torch.Tensor = torch.func.functional_call(conditioner, parameters, (passed, values[:2]))
        return raw

    variables = [value.detach().requires_grad_() for value in (*inputs, *weights)]
    assert torch.autograd.gradcheck(condition, variables)


def test_frozen_weights_get_no_gradient_and_the_inputs_keep_theirs() -> None:
    conditioner = make_conditioner()
    inputs = [value.requires_grad_() for value in (draw(2, 4, 3), draw(2, 1, 8), draw(2, 1, 8))]
    wanted = torch.autograd.grad(conditioner(inputs[0], inputs[1:]).square().sum(), inputs)
    conditioner.requires_grad_(False)
    frozen = torch.autograd.grad(conditioner(inputs[0], inputs[1:]).square().sum(), inputs)
    assert all(torch.equal(one, other) for one, other in zip(wanted, frozen, strict=True))


@pytest.mark.parametrize("inverse", [False, True])
@pytest.mark.parametrize("scale_max", [1.0, 1.5])
def test_the_affine_maps_gradient_is_that_of_finite_differences(inverse: bool, scale_max: float) -> None:
    raw, x = draw(2, 3, 8).requires_grad_(), draw(2, 3, 4, seed=1).requires_grad_()
    assert torch.autograd.gradcheck(lambda r, v: AffinePass.apply(r, v, scale_max, inverse), (raw, x))
    assert torch.autograd.gradcheck(lambda r, v: AffinePass.apply(r, v, scale_max, inverse)[0], (raw, x))


@pytest.mark.parametrize("scale_max", [1.0, 1.5])
def test_the_affine_map_bounds_its_log_scale_by_tanh_and_is_undone_by_its_inverse(scale_max: float) -> None:
    raw, x = 3 * draw(2, 3, 8), draw(2, 3, 4, seed=1)
    y, scale = AffinePass.apply(raw, x, scale_max, False)
    assert (scale - scale_max * torch.tanh(raw[..., :4] / scale_max)).abs().max() < 1e-14
    assert (y - (x * scale.exp() + raw[..., 4:])).abs().max() < 1e-12
    assert (AffinePass.apply(raw, y, scale_max, True)[0] - x).abs().max() < 1e-12


def test_the_gradient_of_another_order_is_in_the_original_one() -> None:
    order = torch.tensor([2, 0, 3, 1])
    x = draw(2, 3, 4).requires_grad_()
    assert torch.autograd.gradcheck(lambda v: OrderPass.apply(v, order, torch.argsort(order)), (x,))


@pytest.mark.parametrize("conditioner", ["transformer", "mlp"])
def test_a_batch_of_chunks_has_the_density_of_each_alone(
    conditioner: Literal["transformer", "mlp"],
) -> None:
    torch.manual_seed(0)
    flow = ConditionalFlow(FlowConfig(width=16, conditioner=conditioner), 8, 5, 4).double()
    for parameter in flow.parameters():
        torch.nn.init.normal_(parameter, std=0.3)
    chunks, contexts = draw(6, 8, 5), draw(6, 4, seed=1)
    together = flow.log_prob(chunks, contexts)
    alone = [flow.log_prob(chunk, context) for chunk, context in zip(chunks, contexts, strict=True)]
    assert (together - torch.stack(alone)).abs().max() < 1e-9


def test_a_batch_is_denoised_as_each_of_its_chunks_alone() -> None:
    denoiser = ChunkDenoiser(8, 5).double()
    denoiser.fit(draw(50, 8, 5), draw(50, 5, seed=1), sigma=0.3)
    chunks, previous = draw(6, 8, 5, seed=2), draw(6, 5, seed=3)
    together = denoiser(chunks, previous)
    for index in range(6):
        assert (together[index] - denoiser(chunks[index], previous[index])).abs().max() < 1e-12
