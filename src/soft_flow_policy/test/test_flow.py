import pytest
import torch
from torch import Tensor

from soft_flow_policy.flow import ConditionalFlow, FlowConfig
from soft_flow_policy.masks import cut, cycle_masks, join


def randomize_heads(module: torch.nn.Module, deviation: float) -> None:
    """Heads and static affine maps start at zero, where every law holds vacuously."""
    for name, parameter in module.named_parameters():
        if "head." in name or name.endswith(("log_scale", "bias")):
            torch.nn.init.normal_(parameter, std=deviation)


SHAPES = [(16, 23), (8, 2), (2, 1), (1, 2), (4, 5)]
CONDITIONERS = ["transformer", "mlp"]


def make_flow(
    length: int, dimension: int, conditioner: str = "transformer", blocks: int = 6, deviation: float = 0.3
) -> ConditionalFlow:
    torch.manual_seed(length * 100 + dimension)
    config = FlowConfig(blocks=blocks, width=16, heads=2, conditioner=conditioner)
    flow = ConditionalFlow(config, length, dimension, context_width=8).double()
    randomize_heads(flow, deviation)
    return flow


def draw(length: int, dimension: int, count: int = 3) -> tuple[Tensor, Tensor]:
    generator = torch.Generator().manual_seed(1)
    chunk = torch.randn(count, length, dimension, generator=generator, dtype=torch.float64)
    return chunk, torch.randn(count, 8, generator=generator, dtype=torch.float64)


@pytest.mark.parametrize("conditioner", CONDITIONERS)
@pytest.mark.parametrize(("length", "dimension"), SHAPES)
def test_inverse_undoes_forward_and_its_log_det_is_the_negative(
    length: int, dimension: int, conditioner: str
) -> None:
    flow = make_flow(length, dimension, conditioner)
    chunk, context = draw(length, dimension)
    z, log_det = flow(chunk, context)
    back, inverse_log_det = flow.inverse(z, context)
    assert (z - chunk).abs().max() > 0.05, "the flow is the identity, the test would prove nothing"
    assert (back - chunk).abs().max() < 1e-9
    assert (log_det + inverse_log_det).abs().max() < 1e-9


@pytest.mark.parametrize("conditioner", CONDITIONERS)
@pytest.mark.parametrize(("length", "dimension"), [(4, 5), (8, 2), (2, 1), (1, 2)])
def test_log_det_is_that_of_autograds_jacobian(length: int, dimension: int, conditioner: str) -> None:
    flow = make_flow(length, dimension, conditioner)
    chunk, context = draw(length, dimension)
    _, log_det = flow(chunk, context)
    for index in range(chunk.shape[0]):
        jacobian = torch.autograd.functional.jacobian(
            lambda x, c=context[index : index + 1]: flow(x.view(1, length, dimension), c)[0].flatten(),
            chunk[index].flatten(),
        )
        assert abs(torch.linalg.slogdet(jacobian).logabsdet - log_det[index]) < 1e-10


@pytest.mark.parametrize(("length", "dimension", "blocks"), [(1, 1, 0), (2, 1, 4), (1, 2, 4)])
def test_density_integrates_to_one(length: int, dimension: int, blocks: int) -> None:
    flow = make_flow(length, dimension, blocks=blocks, deviation=0.08)
    axis = torch.linspace(-15, 15, 301, dtype=torch.float64)
    size = length * dimension
    grid = torch.cartesian_prod(*[axis] * size).view(-1, length, dimension)
    context = draw(length, dimension)[1][:1].expand(grid.shape[0], -1)
    with torch.no_grad():
        total = flow.log_prob(grid, context).exp().sum() * (axis[1] - axis[0]) ** size
    assert abs(total - 1) < 1e-3


@pytest.mark.parametrize("conditioner", CONDITIONERS)
def test_gradients_flow_through_samples_to_every_parameter_and_the_context(conditioner: str) -> None:
    flow = make_flow(4, 5, conditioner)
    context = draw(4, 5)[1].requires_grad_()
    chunk, log_prob = flow.sample(context, noise=draw(4, 5)[0])
    (chunk.square().sum() + log_prob.sum()).backward()
    assert context.grad is not None and context.grad.abs().min() > 0
    for name, parameter in flow.named_parameters():
        assert parameter.grad is not None and parameter.grad.abs().max() > 0, name


def test_gradient_of_a_sample_is_that_of_finite_differences() -> None:
    flow = make_flow(4, 2)
    z, context = draw(4, 2)
    assert torch.autograd.gradcheck(lambda c: flow.inverse(z, c), context.requires_grad_(), atol=1e-6)


@pytest.mark.parametrize("temperature", [0.0, 0.5, 1.0])
def test_log_prob_of_a_sample_is_its_density_at_temperature_one(temperature: float) -> None:
    flow = make_flow(16, 23)
    noise, context = draw(16, 23)
    chunk, log_prob = flow.sample(context, temperature, noise)
    assert (flow.log_prob(chunk, context) - log_prob).abs().max() < 1e-9


@pytest.mark.parametrize("conditioner", CONDITIONERS)
def test_conditioner_depends_on_nothing_but_the_passed_tokens_and_the_context(conditioner: str) -> None:
    flow = make_flow(8, 5, conditioner)
    chunk, context = draw(8, 5, 1)
    for block, modulation in zip(flow.blocks, flow._modulations(context), strict=True):
        axis = block.mask.axis
        jacobian = torch.autograd.functional.jacobian(
            lambda x, b=block, m=modulation, a=axis: b(cut(x, a), m)[1].sum().view(1), chunk
        )
        passed, transformed = block.mask.choose(cut(jacobian[0], axis))
        assert transformed.abs().max() == 0
        assert passed.abs().max() > 0


def test_every_number_is_transformed_within_a_cycle_of_two_blocks() -> None:
    flow = make_flow(8, 5)
    chunk = torch.arange(40.0).view(1, 8, 5) + 1
    for first, second in zip(flow.blocks[::2], flow.blocks[1::2], strict=True):
        parts = [block.mask.choose(cut(chunk, block.mask.axis))[1].flatten() for block in (first, second)]
        assert torch.cat(parts).sort().values.tolist() == chunk.flatten().tolist()


@pytest.mark.parametrize(("length", "dimension"), SHAPES)
def test_join_undoes_cut_and_the_parts_have_the_promised_shapes(length: int, dimension: int) -> None:
    chunk = draw(length, dimension)[0]
    for mask in cycle_masks(6, length, dimension):
        parts = cut(chunk, mask.axis)
        assert torch.equal(join(parts, mask.axis, length), chunk)
        assert tuple(tuple(part.shape[1:]) for part in mask.choose(parts)) == mask.shapes(length, dimension)


def test_a_fitted_base_makes_data_zero_mean_and_unit_variance_its_noise_included() -> None:
    flow = ConditionalFlow(FlowConfig(), 4, 5, 8)
    chunks = torch.randn(2000, 4, 5) * torch.tensor([0.0, 0.1, 1.0, 2.0, 0.5]) + 3.0
    flow.fit_base(chunks, sigma=0.05)
    z, _ = flow(chunks + 0.05 * torch.randn_like(chunks), torch.zeros(2000, 8))
    assert z.mean(0).abs().max() < 0.1
    assert (z.std(0) - 1).abs().max() < 0.1


def test_a_new_flow_is_the_identity() -> None:
    flow = ConditionalFlow(FlowConfig(), 16, 23, 8)
    chunk, context = torch.randn(2, 16, 23), torch.randn(2, 8)
    z, log_det = flow(chunk, context)
    assert torch.equal(z, chunk)
    assert log_det.abs().max() == 0


def test_float32_inverse_is_precise_with_large_weights() -> None:
    flow = ConditionalFlow(FlowConfig(), 16, 23, 8)
    randomize_heads(flow, 0.3)
    chunk, context = torch.randn(8, 16, 23), torch.randn(8, 8)
    back, _ = flow.inverse(flow(chunk, context)[0], context)
    assert (back - chunk).abs().max() < 1e-3


@pytest.mark.parametrize("length", [3, 15])
def test_an_odd_chunk_length_is_refused(length: int) -> None:
    with pytest.raises(ValueError, match="must be 1 or even"):
        ConditionalFlow(FlowConfig(), length, 2, 8)


def test_an_unknown_key_of_the_configuration_is_refused() -> None:
    with pytest.raises(ValueError, match="widht"):
        FlowConfig(widht=3)
