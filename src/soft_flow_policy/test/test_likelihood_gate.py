"""The likelihood gate: its signal, its threshold, when it fires and when it must not."""

import math
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from policy_graph import DT, START, make_observation

from soft_flow_contract.task_specification import TaskSpecification
from soft_flow_policy.checkpoint import save_checkpoint
from soft_flow_policy.gate_calibration import (
    GateCalibration,
    GateError,
    calibrate,
    overlap_signals,
    to_manifest,
)
from soft_flow_policy.likelihood_gate import LikelihoodGate, open_gate
from soft_flow_policy.policy import FlowPolicy
from soft_flow_policy.policy_parameters import PolicyParameters
from soft_flow_policy.served_policy import PlannedChunk, Sampling, ServedPolicy

EXECUTED = 8


def chunk(signal: float = math.nan, number: float = 0.0) -> PlannedChunk:
    """A plan that contradicts the one before by so much."""
    return PlannedChunk(np.full((16, 23), number, np.float32), 5.0, 0.0, rescored=5.0 - 8 * 23 * signal)


def make_gate(specification: TaskSpecification, plans: int = 2) -> LikelihoodGate:
    return LikelihoodGate(1.0, plans, specification)


def test_it_fires_after_so_many_contradictions_in_a_row_and_not_before(
    specification: TaskSpecification,
) -> None:
    gate = make_gate(specification, plans=2)
    flown = [gate.see(1, START, chunk(signal)) for signal in (math.nan, 2.0, 0.5, 2.0, 2.0)]
    assert flown == [True, True, True, True, False]
    assert "2 plans in a row" in gate.reason() and "2 nats" in gate.reason()
    assert gate.report()["gate_plans_above"] == 3


def test_it_stays_fired_until_another_epoch_begins(specification: TaskSpecification) -> None:
    gate = make_gate(specification, plans=1)
    assert not gate.see(4, START, chunk(2.0))
    assert gate.fired(4) and not gate.see(4, START, chunk(0.0))
    assert not gate.fired(5) and gate.see(5, START, chunk(0.0))


def test_a_plan_without_one_before_it_breaks_the_row(specification: TaskSpecification) -> None:
    gate = make_gate(specification, plans=2)
    assert all(gate.see(1, START, chunk(signal)) for signal in (2.0, math.nan, 2.0))


def test_an_earlier_plan_that_has_become_impossible_counts_as_a_contradiction(
    specification: TaskSpecification,
) -> None:
    assert not make_gate(specification, plans=1).see(1, START, chunk(math.inf))


def test_only_the_plan_just_before_in_the_same_epoch_is_compared(specification: TaskSpecification) -> None:
    gate = make_gate(specification)
    assert gate.earlier(1, START) is None
    actions = np.arange(16 * 23, dtype=np.float32).reshape(16, 23)
    gate.see(1, START, PlannedChunk(actions, 0.0, 0.0))
    earlier = gate.earlier(1, START + EXECUTED * DT)
    assert earlier is not None and np.array_equal(earlier, actions[EXECUTED:])
    assert gate.earlier(2, START + EXECUTED * DT) is None
    assert gate.earlier(1, START + (EXECUTED + 1) * DT) is None


def test_the_signal_is_the_log_ratio_of_both_plans(
    policy: FlowPolicy, make_observations: Callable[..., dict]
) -> None:
    before, after = (make_observations(policy.specification, 3, seed) for seed in (1, 2))
    with torch.no_grad():
        signals = overlap_signals(policy, before, after, 0.5, torch.Generator().manual_seed(9))
        generator = torch.Generator().manual_seed(9)
        first = policy.sample(before, 0.5, generator=generator, denoise=True)
        second = policy.sample(after, 0.5, generator=generator, denoise=True)
        continued = torch.cat((first.actions[:, EXECUTED:], second.actions[:, 16 - EXECUTED :]), dim=1)
        own, rescored = policy.log_prob(after, second.actions), policy.log_prob(after, continued)
    expected = (own - rescored) / (EXECUTED * 23)
    assert (signals - expected).abs().max() < 1e-3
    assert signals.abs().max() > 0.1


@pytest.mark.parametrize("runtime", ["onnxruntime", "torch"])
@pytest.mark.parametrize("candidates", [1, 3])
def test_a_session_rescores_what_the_chunk_before_still_plans(
    tmp_path: Path, policy: FlowPolicy, runtime: str, candidates: int
) -> None:
    from critic_maker import mean_action_critic

    critic = mean_action_critic(policy.specification)
    folder = save_checkpoint(tmp_path / "p", policy, version=1, step=1, stage="offline", critic=critic)
    served = ServedPolicy(str(folder), Sampling(3, 0.5, True, candidates, True), runtime, None)
    plain = ServedPolicy(str(folder), Sampling(3, 0.5, True, candidates), runtime, None)
    first = served.plan(make_observation(policy.specification, START))
    assert math.isnan(first.rescored)
    observation = make_observation(policy.specification, START + EXECUTED * DT)
    second = served.plan(observation, first.actions[EXECUTED:])
    assert np.abs(second.actions - plain.plan(observation).actions).max() < 1e-5
    continued = np.concatenate((first.actions[EXECUTED:], second.actions[16 - EXECUTED :]))
    batch = {
        "proprioception": torch.from_numpy(observation.proprioception)[None],
        "images": {name: torch.from_numpy(image)[None] for name, image in observation.images.items()},
    }
    with torch.no_grad():
        expected = float(policy.log_prob(batch, torch.from_numpy(continued)[None]))
    assert second.rescored == pytest.approx(expected, rel=1e-3)


def test_the_threshold_is_a_quantile_of_the_held_out_signals_at_the_temperature() -> None:
    signals = {"0.3": tuple(float(n) for n in range(101)), "1": (5.0, 6.0)}
    calibration = GateCalibration(executed=8, denoise=True, signals=signals)
    assert calibration.threshold(0.3, 0.95) == pytest.approx(95)
    assert calibration.threshold(1.0, 1.0) == 6.0
    with pytest.raises(GateError, match=r"temperature 0\.7 was not calibrated, only 0\.3, 1"):
        calibration.threshold(0.7, 0.9)


def test_a_calibration_survives_the_manifest_and_repeats_itself(
    tmp_path: Path, policy: FlowPolicy, make_observations: Callable[..., dict]
) -> None:
    pairs = [tuple(make_observations(policy.specification, 4, seed) for seed in (1, 2))]
    calibration = calibrate(policy, pairs, seed=0)
    assert calibration is not None and calibration == calibrate(policy, pairs, seed=0)
    assert all(list(values) == sorted(values) and len(values) == 4 for values in calibration.signals.values())
    extra = to_manifest(calibration)
    save_checkpoint(tmp_path / "p", policy, version=1, step=1, stage="imitation", extra=extra)
    served = ServedPolicy(str(tmp_path / "p"), Sampling(0, 0.3, True), "torch", None)
    gate = open_gate(served, PolicyParameters(gate=True, temperature=0.3, gate_quantile=1.0))
    assert gate is not None and gate.threshold == calibration.signals["0.3"][-1]
    assert open_gate(served, PolicyParameters(gate=False)) is None
    with pytest.raises(GateError, match="calibrated with denoise True, but False"):
        open_gate(served, PolicyParameters(gate=True, temperature=0.3, denoise=False))
    with pytest.raises(GateError, match="the task executes 4"):
        gate.require_executed(4)


def test_a_checkpoint_that_was_not_calibrated_is_refused_with_what_to_do(
    tmp_path: Path, policy: FlowPolicy
) -> None:
    save_checkpoint(tmp_path / "p", policy, version=1, step=1, stage="imitation")
    served = ServedPolicy(str(tmp_path / "p"), Sampling(0, 0.3, True), "torch", None)
    with pytest.raises(GateError, match=r"no calibration of the likelihood gate.*set gate to false"):
        open_gate(served, PolicyParameters(gate=True, temperature=0.3))


def test_nothing_is_calibrated_without_pairs(policy: FlowPolicy) -> None:
    assert calibrate(policy, [], seed=0) is None and to_manifest(None) == {}
