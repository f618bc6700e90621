"""Devices, parts of batches and their random numbers; whatever needs no second process and no GPU."""

import threading

import numpy as np
import pytest
import torch
from bag_maker import small_specification

from soft_flow_learner.algorithm.algorithm_config import AlgorithmConfig, Objective
from soft_flow_learner.algorithm.chunk_critic import CriticConfig
from soft_flow_learner.algorithm.learner_batch import LearnerBatch
from soft_flow_learner.algorithm.soft_flow_algorithm import SoftFlow, SoftFlowUpdate
from soft_flow_learner.errors import LearnerError
from soft_flow_learner.training.compute import ALONE, Compute, choose_device, on_cpu, to_device
from soft_flow_learner.training.prefetch import Prefetch
from soft_flow_policy.observation_encoder import ObservationBatch
from soft_flow_policy.policy import FlowPolicy
from soft_flow_policy.policy_config import FlowPolicyConfig

SPECIFICATION = small_specification()
CPU, META = torch.device("cpu"), torch.device("meta")


def generator() -> torch.Generator:
    return torch.Generator().manual_seed(3)


def make_algorithm() -> SoftFlow:
    torch.manual_seed(0)
    torch.set_num_threads(1)
    config = FlowPolicyConfig(cameras=("palm",), context_width=16, flow={"blocks": 2, "width": 8})
    policy = FlowPolicy(config, SPECIFICATION)
    batch = make_batch()
    policy.fit_normalizers(batch.observation["proprioception"], batch.chunk)
    return SoftFlow(policy, AlgorithmConfig(critic=CriticConfig(width=8)))


def make_batch(size: int = 16) -> LearnerBatch:
    stream = generator()

    def observation() -> ObservationBatch:
        images = torch.randint(0, 256, (size, 24, 24, 3), generator=stream, dtype=torch.uint8)
        proprioception = torch.rand((size, SPECIFICATION.proprioception_dimension), generator=stream)
        return ObservationBatch(proprioception=proprioception, images={"palm": images})

    chunk = torch.rand((size, SPECIFICATION.chunk.length, SPECIFICATION.action_dimension), generator=stream)
    executed, ones = chunk[:, : SPECIFICATION.chunk.executed], torch.ones(size)
    rewards = (ones * 0.5, ones * 0.9, torch.full((size,), SPECIFICATION.chunk.executed))
    return LearnerBatch(observation(), chunk, executed, observation(), *rewards, ones, ones * 0.0)


def draws(size: int) -> list[torch.Tensor]:
    """Draws as an update makes them, one after the other."""
    stream = generator()
    return [
        torch.randn((size, 4, 2), generator=stream),
        torch.randint(0, 9, (size, 2), generator=stream),
        torch.rand((size, 3), generator=stream),
    ]


def test_the_parts_of_all_processes_are_the_batch() -> None:
    rows = np.arange(12)
    parts = [rows[Compute(rank=rank, processes=3).part(12)] for rank in range(3)]
    assert np.array_equal(np.concatenate(parts), rows) and {len(part) for part in parts} == {4}
    with pytest.raises(LearnerError, match="7 rows cannot be shared equally by 2 processes"):
        Compute(rank=0, processes=2).part(7)


def test_random_numbers_of_a_part_are_the_rows_of_the_whole_batchs() -> None:
    whole = draws(6)
    for rank in range(3):
        with Compute(rank=rank, processes=3).randomness(6):
            part = draws(2)
        for numbers, own in zip(whole, part, strict=True):
            assert torch.equal(numbers[2 * rank : 2 * rank + 2], own)


def test_seeds_and_numbers_without_a_generator_are_not_cut() -> None:
    with Compute(rank=1, processes=2).randomness(6):
        seeds = torch.randint(2**62, (3,), generator=generator())
        assert torch.randn(3, 2).shape == (3, 2)
    assert torch.equal(seeds, torch.randint(2**62, (3,), generator=generator()))


def test_random_numbers_are_drawn_by_their_generator_and_put_on_the_device() -> None:
    compute, stream = Compute(device=META), generator()
    with compute.randomness():
        numbers = torch.randn((5, 2), generator=stream, device=META)
    assert numbers.device == META and numbers.shape == (5, 2)
    after = generator()
    torch.randn((5, 2), generator=after)
    assert torch.equal(after.get_state(), stream.get_state())


def test_a_single_process_on_a_cpu_draws_and_computes_as_without_any_of_this() -> None:
    parameter = torch.nn.Parameter(torch.ones(3))
    parameter.grad = torch.arange(3.0)
    value = torch.tensor(2.5)
    with ALONE.randomness(5), ALONE.autocast():
        assert all(torch.equal(a, b) for a, b in zip(draws(5), draws(5), strict=True))
        assert not torch.is_autocast_enabled("cpu")
    ALONE.average_gradients([parameter])
    assert torch.equal(parameter.grad, torch.arange(3.0)) and ALONE.mean(value) is value
    assert ALONE.threads(2) == 2 and ALONE.any(True) and not ALONE.any(False) and ALONE.first(0.1) == 0.1


def test_processes_that_share_the_cores_or_use_a_gpu_take_one_thread() -> None:
    assert Compute(rank=0, processes=2).threads(2) == 1
    assert Compute(device=torch.device("cuda")).threads(2) == 1


@pytest.mark.parametrize(
    ("choice", "gpus", "rank", "expected"),
    [
        ("auto", 0, 0, "cpu"),
        ("auto", 2, 1, "cuda:1"),
        ("cpu", 2, 0, "cpu"),
        ("cuda", 1, 0, "cuda:0"),
    ],
)
def test_auto_takes_a_gpu_when_there_is_one_and_each_process_its_own(
    choice: str, gpus: int, rank: int, expected: str
) -> None:
    assert choose_device(choice, rank, lambda: gpus) == torch.device(expected)


@pytest.mark.parametrize(
    ("choice", "gpus", "rank", "message"),
    [
        ("cuda", 0, 0, "finds 0 GPUs"),
        ("auto", 1, 1, "process 1 of this machine finds 1 GPUs"),
        ("tpu", 0, 0, "tpu"),
    ],
)
def test_a_device_that_is_not_there_is_refused_with_what_to_do(
    choice: str, gpus: int, rank: int, message: str
) -> None:
    with pytest.raises(LearnerError, match=message):
        choose_device(choice, rank, lambda: gpus)


def test_products_in_half_precision_change_the_losses_by_little_and_still_train() -> None:
    losses, weights = [], []
    for compute in (ALONE, Compute(mixed=True)):  # autocast works on a CPU too
        algorithm, batch = make_algorithm(), make_batch()
        update = SoftFlowUpdate(algorithm, Objective(), compute)
        losses.append([update.update(batch, generator())["loss"] for _ in range(3)])
        weights.append(algorithm.policy.flow.bias.detach().clone())
    assert losses[0] == pytest.approx(losses[1], rel=0.05) and losses[0] != losses[1]
    assert weights[1].abs().sum() > 0 and weights[1].dtype == torch.float32
    assert torch.allclose(weights[0], weights[1], atol=1e-3)


def test_arrays_become_tensors_that_share_their_memory_on_a_cpu() -> None:
    array = np.zeros(3, np.float32)
    tensor = to_device(array, CPU)
    array[1] = 5
    assert tensor.tolist() == [0, 5, 0]
    module = torch.nn.Linear(2, 2)
    assert on_cpu(module) is module


def test_the_next_batch_is_made_ready_during_an_update_in_another_thread() -> None:
    made: list[tuple[int, str]] = []
    second = threading.Event()

    def make(number: int) -> int:
        made.append((number, threading.current_thread().name))
        if number == 6:
            second.set()
        return 10 * number

    batches = Prefetch(make)
    assert batches.get(5) == 50
    assert second.wait(60)  # nobody asked for it yet
    assert batches.get(6) == 60 and batches.get(9) == 90
    assert all(name.startswith("prefetch") for _, name in made)
    assert [number for number, _ in made].count(6) == 1


def test_what_prevents_a_batch_is_raised_where_it_is_asked_for() -> None:
    def make(number: int) -> int:
        raise LearnerError(f"no batch {number}")

    with pytest.raises(LearnerError, match="no batch 3"):
        Prefetch(make).get(3)
