"""Targets, losses and updates of SOFT-FLOW against what the equations say."""

import copy
import math
from collections.abc import Iterator

import pytest
import torch
from algorithm_maker import BATCH, TASK, generator, make_algorithm, make_batch, snapshot

from soft_flow_contract.task_specification import TaskSpecification
from soft_flow_learner.algorithm.algorithm_config import Objective
from soft_flow_learner.algorithm.soft_flow_algorithm import SoftFlowUpdate
from soft_flow_policy.observation_encoder import ObservationBatch


@pytest.fixture(scope="module")
def specification() -> TaskSpecification:
    return TASK


def changed(module: torch.nn.Module, before: dict[str, torch.Tensor]) -> set[str]:
    return {name for name, value in module.state_dict().items() if not torch.equal(value, before[name])}


def test_the_target_is_reward_plus_bootstrap_times_the_smallest_member(
    specification: TaskSpecification,
) -> None:
    algorithm, batch = make_algorithm(specification), make_batch(specification)
    head = algorithm.target.head
    torch.nn.init.zeros_(head.weight)
    for member, value in enumerate((0.6, 0.4)):
        head.bias.data[member, 0] = algorithm.target.histogram.probabilities(torch.tensor(value)).log()
    target = algorithm.target_value(batch, generator())
    assert (target - (batch.reward + batch.bootstrap * 0.4)).abs().max() < 1e-3


def test_no_target_lies_below_the_return_that_was_observed_unless_switched_off(
    specification: TaskSpecification,
) -> None:
    for floor in (True, False):
        algorithm, batch = make_algorithm(specification, return_floor=floor), make_batch(specification)
        plain = algorithm.target_value(batch, generator())
        batch.observed_return[:3] = plain[:3] + 0.25
        batch.observed_return[3:] = plain[3:] - 0.25
        raised = torch.zeros(BATCH)
        raised[:3] = 0.25
        expected = plain + raised if floor else plain
        assert torch.allclose(algorithm.target_value(batch, generator()), expected)


def test_a_terminated_window_is_worth_its_reward_alone(specification: TaskSpecification) -> None:
    algorithm, batch = make_algorithm(specification), make_batch(specification)
    batch.bootstrap.zero_()
    assert torch.equal(algorithm.target_value(batch, generator()), batch.reward)


def test_the_critics_loss_is_the_cross_entropy_with_the_targets_histogram(
    specification: TaskSpecification,
) -> None:
    algorithm, batch = make_algorithm(specification), make_batch(specification)
    features = algorithm.critic_input(batch.observation["proprioception"], torch.zeros(BATCH, 0))
    target = torch.linspace(0, 1, BATCH)
    loss, _ = algorithm.critic_loss(algorithm.foresee(features, batch), batch, target)
    logits = algorithm.critic(features, batch.executed)
    by_hand = 0.0
    for member in range(2):
        for row in range(BATCH):
            wanted = algorithm.critic.histogram.probabilities(target[row])
            by_hand -= float((wanted * torch.log_softmax(logits[member, row].detach(), -1)).sum())
    assert float(loss) == pytest.approx(by_hand / (2 * BATCH), rel=1e-5)


def test_warm_up_trains_the_critic_and_leaves_the_actor_as_it_is(specification: TaskSpecification) -> None:
    algorithm, batch = make_algorithm(specification), make_batch(specification)
    actor, average, critic = (snapshot(m) for m in (algorithm.policy, algorithm.average, algorithm.critic))
    update = SoftFlowUpdate(algorithm, Objective(train_actor=False))
    metrics = [update.update(batch, generator()) for _ in range(30)]
    assert changed(algorithm.policy, actor) == set() and changed(algorithm.average, average) == set()
    assert len(changed(algorithm.critic, critic)) == len(list(algorithm.critic.parameters()))
    assert metrics[-1]["critic"] < metrics[0]["critic"]
    assert "nll" not in metrics[0]


def test_the_target_follows_the_critic_at_its_rate(specification: TaskSpecification) -> None:
    algorithm = make_algorithm(specification, target_rate=0.25)
    before = snapshot(algorithm.target)
    SoftFlowUpdate(algorithm, Objective()).update(make_batch(specification), generator())
    for name, critic in algorithm.critic.named_parameters():
        expected = before[name] + 0.25 * (critic - before[name])
        assert (dict(algorithm.target.named_parameters())[name] - expected).abs().max() < 1e-6


def test_the_actors_gradient_comes_through_the_critic_and_does_not_reach_it(
    specification: TaskSpecification,
) -> None:
    algorithm, batch = make_algorithm(specification), make_batch(specification)
    objective = Objective(beta=0, box_weight=0, train_critic=False)
    update = SoftFlowUpdate(algorithm, objective)
    update.gradients(batch, generator())
    flow = [p.grad for p in algorithm.policy.flow.parameters() if p.grad is not None]
    assert max(float(gradient.abs().max()) for gradient in flow) > 0
    assert all(p.grad is None for p in algorithm.critic.parameters())


def test_climbing_the_critic_raises_the_value_of_the_policys_chunks(specification: TaskSpecification) -> None:
    algorithm, batch = make_algorithm(specification), make_batch(specification)
    objective = Objective(beta=0, train_critic=False, actor_learning_rate=3e-3)
    update = SoftFlowUpdate(algorithm, objective)
    values = [update.update(batch, generator())["q_policy"] for _ in range(40)]
    assert values[-1] > values[0] + 0.01


def test_the_control_does_not_depend_on_the_critic(specification: TaskSpecification) -> None:
    batch, weights = make_batch(specification), []
    for seed in (0, 1):
        algorithm = make_algorithm(specification)
        torch.manual_seed(seed)
        torch.nn.init.normal_(algorithm.critic.head.weight)
        SoftFlowUpdate(algorithm, Objective(q_weight=0)).update(batch, generator())
        weights.append(snapshot(algorithm.policy))
    assert all(torch.equal(weights[0][name], weights[1][name]) for name in weights[0])


def test_frozen_cameras_stay_as_they_are_and_others_learn(specification: TaskSpecification) -> None:
    batch = make_batch(specification)
    for freeze in (True, False):
        algorithm = make_algorithm(specification, cameras=("external",))
        cameras, fuse = snapshot(algorithm.policy.encoder.cameras), snapshot(algorithm.policy.encoder.fuse)
        SoftFlowUpdate(algorithm, Objective(freeze_cameras=freeze)).update(batch, generator())
        assert bool(changed(algorithm.policy.encoder.cameras, cameras)) is not freeze
        assert changed(algorithm.policy.encoder.fuse, fuse)


def test_normalizers_are_frozen_in_every_stage(specification: TaskSpecification) -> None:
    algorithm = make_algorithm(specification)
    before = {name: value.clone() for name, value in algorithm.policy.named_buffers()}
    SoftFlowUpdate(algorithm, Objective()).update(make_batch(specification), generator())
    assert all(torch.equal(value, before[name]) for name, value in algorithm.policy.named_buffers())


def test_only_imitated_chunks_count_in_the_likelihood_unless_failures_get_a_weight(
    specification: TaskSpecification,
) -> None:
    algorithm, batch = make_algorithm(specification), make_batch(specification)
    batch.imitated[:] = torch.tensor([1.0, 0, 0, 1, 0, 0])
    plain = algorithm._likelihood_weight(batch, Objective(), None, None)
    some = algorithm._likelihood_weight(batch, Objective(failure_weight=0.25), None, None)
    assert plain.tolist() == [1, 0, 0, 1, 0, 0]
    assert some.tolist() == [1, 0.25, 0.25, 1, 0.25, 0.25]


def test_the_advantage_weights_the_likelihood_exponentially_up_to_its_limit(
    specification: TaskSpecification,
) -> None:
    algorithm, batch = make_algorithm(specification), make_batch(specification, 3)
    objective = Objective(advantage_temperature=0.1, advantage_limit=4.0)
    data_value, value = torch.tensor([0.5, 0.5, 0.9]), torch.tensor([0.5, 0.6, 0.4])
    weight = algorithm._likelihood_weight(batch, objective, data_value, value)
    assert weight.tolist() == pytest.approx([1.0, math.exp(-1), 4.0])


def test_trust_is_zero_at_the_start_and_positive_when_the_actor_has_moved(
    specification: TaskSpecification,
) -> None:
    algorithm = make_algorithm(specification)
    batch = make_batch(specification, 64)
    SoftFlowUpdate(algorithm, Objective(trust_weight=1.0))
    context = algorithm.policy.encode(batch.observation)
    assert float(algorithm._trust(context, batch.observation, generator()).detach()) == pytest.approx(
        0, abs=1e-4
    )
    with torch.no_grad():
        algorithm.policy.flow.bias += 0.5
    assert float(algorithm._trust(context, batch.observation, generator()).detach()) > 0.05


def test_a_batch_that_is_not_finite_changes_no_weight(specification: TaskSpecification) -> None:
    algorithm, batch = make_algorithm(specification), make_batch(specification)
    batch.reward[0] = math.nan
    before = copy.deepcopy(snapshot(algorithm))
    metrics = SoftFlowUpdate(algorithm, Objective()).update(batch, generator())
    assert not math.isfinite(metrics["loss"])
    assert changed(algorithm, before) == set()


def test_equal_seeds_give_equal_updates(specification: TaskSpecification) -> None:
    results = []
    for _ in range(2):
        algorithm = make_algorithm(specification, cameras=("external",))
        update = SoftFlowUpdate(algorithm, Objective(trust_weight=0.5, advantage_temperature=0.2))
        results.append([update.update(make_batch(specification), generator()) for _ in range(3)])
    assert results[0] == results[1]


@pytest.fixture
def two_threads() -> Iterator[None]:
    torch.set_num_threads(2)
    yield
    torch.set_num_threads(1)


def test_a_second_thread_changes_numbers_by_rounding_only(
    specification: TaskSpecification, two_threads: None
) -> None:
    metrics, gradients = [], []
    for threads in (1, 2):
        algorithm = make_algorithm(specification)
        update = SoftFlowUpdate(algorithm, Objective(advantage_temperature=0.2, trust_weight=0.1))
        torch.set_num_threads(threads)
        metrics.append(update.gradients(make_batch(specification), generator()))
        assert torch.get_num_threads() == threads
        gradients.append([p.grad for p in (*update.actor, *update.critic) if p.grad is not None])
    assert metrics[0] == pytest.approx(metrics[1], rel=1e-4)
    for one, other in zip(*gradients, strict=True):
        assert (one - other).abs().max() < 1e-4 * (1 + one.abs().max())


def test_equal_seeds_give_equal_updates_with_two_threads(
    specification: TaskSpecification, two_threads: None
) -> None:
    results = []
    for _ in range(2):
        algorithm = make_algorithm(specification)
        torch.set_num_threads(2)
        update = SoftFlowUpdate(algorithm, Objective())
        results.append([update.update(make_batch(specification), generator()) for _ in range(10)])
    assert results[0] == results[1]


def test_an_error_beside_reaches_the_caller_and_leaves_threads_as_they_were(
    specification: TaskSpecification, two_threads: None
) -> None:
    algorithm, batch = make_algorithm(specification), make_batch(specification)
    algorithm.horizon -= 1  # the policy's chunks no longer fit the critic
    torch.set_num_threads(2)
    with pytest.raises(RuntimeError):
        SoftFlowUpdate(algorithm, Objective()).update(batch, generator())
    assert torch.get_num_threads() == 2


def test_what_the_critic_chooses_is_the_best_of_the_policys_chunks(specification: TaskSpecification) -> None:
    algorithm, batch = make_algorithm(specification), make_batch(specification)
    context = algorithm.policy.encode(batch.observation)
    features = algorithm.critic_input(batch.observation["proprioception"], torch.zeros(BATCH, 0))
    objective = Objective(choice_weight=2.0, choices=5)
    chosen, gain = algorithm.choose(features, context, batch.observation, objective, generator())
    repeated = ObservationBatch(
        proprioception=batch.observation["proprioception"].repeat_interleave(5, dim=0), images={}
    )
    chunks = algorithm.act(context.repeat_interleave(5, dim=0), repeated, generator()).clamp(-1, 1)
    for row in range(BATCH):
        own = chunks[5 * row : 5 * row + 5]
        values = [
            algorithm.critic.value(algorithm.critic(features[[row]], one[None, : algorithm.horizon]))
            for one in own
        ]
        best = int(torch.cat(values).argmax())
        torch.testing.assert_close(chosen[row], own[best])
    assert gain > 0


def test_the_likelihood_of_what_the_critic_chooses_is_raised(specification: TaskSpecification) -> None:
    algorithm, batch = make_algorithm(specification), make_batch(specification)
    context = algorithm.policy.encode(batch.observation)
    features = algorithm.critic_input(batch.observation["proprioception"], torch.zeros(BATCH, 0))
    objective = Objective(q_weight=0, box_weight=0, choice_weight=2.0)
    stream = generator()
    chosen, _ = algorithm.choose(features, context, batch.observation, objective, stream)
    expected = 2 * algorithm.policy.nll_given_context(context, chosen, stream).mean()
    loss, _, metrics = algorithm.improvement_loss(features, context, batch, objective, generator())
    assert float(loss.detach()) == pytest.approx(float(expected.detach()), rel=1e-6)
    assert {"choice", "choice_gain"} <= metrics.keys()
    loss.backward()
    assert all(parameter.grad is None for parameter in algorithm.critic.parameters())
