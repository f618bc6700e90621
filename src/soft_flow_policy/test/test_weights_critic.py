"""The critic that comes with weights, and chooses among the chunks of the policy that came with it."""

import time
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest
import torch
from critic_maker import mean_action_critic
from intake_maker import Intake
from policy_graph import DT, START, Graph

from soft_flow_contract.task_specification import TaskSpecification
from soft_flow_policy.checkpoint import save_checkpoint
from soft_flow_policy.policy import FlowPolicy
from soft_flow_policy.weights import record_weights

CANDIDATES = 4
REVERSED = {"scale": torch.tensor([-1.0])}  # of the mean action, that the checkpoint's critic likes


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory, policy: FlowPolicy) -> Path:
    critic = mean_action_critic(policy.specification)
    path = tmp_path_factory.mktemp("policy") / "checkpoint"
    return save_checkpoint(path, policy, version=7, step=1, stage="offline", critic=critic)


@pytest.fixture
def intake(folder: Path, policy: FlowPolicy) -> Iterator[Intake]:
    intake = Intake(folder, policy, CANDIDATES)
    yield intake
    intake.intake.close()


def mean_action(intake: Intake) -> float:
    return float(np.clip(intake.plan(), -1, 1).mean())


def test_policy_and_critic_are_taken_over_together(intake: Intake, policy: FlowPolicy) -> None:
    highest = mean_action(intake)
    intake.offer(record_weights(policy, "run", 8, critic=REVERSED))
    lowest = mean_action(intake)
    assert intake.policy.version == 8 and lowest < highest
    assert intake.news.get_nowait().text.endswith("with their critic")


def test_weights_without_a_critic_keep_the_one_from_before(intake: Intake, policy: FlowPolicy) -> None:
    intake.offer(record_weights(policy, "run", 8, critic=REVERSED))
    lowest = mean_action(intake)
    intake.offer(record_weights(policy, "run", 9))
    assert mean_action(intake) == lowest and intake.policy.version == 9
    assert intake.news.get_nowait().text.endswith("with their critic")
    assert intake.news.get_nowait().text.endswith("they brought no critic")


@pytest.mark.parametrize(
    ("critic", "reason"),
    [
        ({"bias": torch.zeros(1)}, "critic: tensor 'bias' is not part of this configuration"),
        ({"scale": torch.zeros(2)}, "critic: tensor 'scale': expected shape (1,), got (2,)"),
    ],
)
def test_a_critic_that_does_not_fit_costs_its_policy_too_and_both_stay_as_they_were(
    intake: Intake, policy: FlowPolicy, make_policy: Callable, critic: dict[str, torch.Tensor], reason: str
) -> None:
    before = intake.plan()
    other = make_policy(policy.specification, seed=1)
    intake.offer(record_weights(other, "run", 8, critic=critic))
    after = intake.plan()
    text = intake.refusal()
    assert reason in text and "weights version 8 of run 'run'" in text
    assert np.array_equal(after, before) and intake.policy.version == 7


def test_a_policy_that_samples_one_chunk_leaves_the_critic_that_came(
    folder: Path, policy: FlowPolicy
) -> None:
    single = Intake(folder, policy)
    single.offer(record_weights(policy, "run", 8, critic={"anything": torch.zeros(3)}))
    single.plan()
    assert single.policy.version == 8
    assert single.news.get_nowait().text.endswith("after they were published")
    single.intake.close()


def test_the_node_chooses_by_the_critic_that_came_from_the_next_chunk_on(
    folder: Path, policy: FlowPolicy, specification: TaskSpecification
) -> None:
    graph = Graph(folder, specification, accept_weights=True, candidates=CANDIDATES)
    try:
        graph.be_ready()
        graph.enter_epoch(1, START)
        graph.observe(START)
        graph.publish_weights(record_weights(policy, "run", 8, 7, time.time_ns(), critic=REVERSED))
        graph.until(lambda: graph.node._intake._prepared is not None, "weights prepared")
        for tick in range(1, 9):
            graph.observe(START + tick * DT)
        first, second = graph.wait_for_chunks(2)
    finally:
        graph.close()
    assert first.value == pytest.approx(np.mean(first.actions), abs=1e-5)
    assert second.value == pytest.approx(-np.mean(second.actions), abs=1e-5)
