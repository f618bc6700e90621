from pathlib import Path

import numpy as np
import pytest
from critic_maker import mean_action_critic
from policy_graph import DT, make_observation

from soft_flow_policy.checkpoint import CheckpointError, save_checkpoint
from soft_flow_policy.chunk_schedule import sampling_noise
from soft_flow_policy.policy import FlowPolicy
from soft_flow_policy.served_policy import Sampling, ServedPolicy

CANDIDATES = 5


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory, policy: FlowPolicy) -> Path:
    path = tmp_path_factory.mktemp("policy") / "checkpoint"
    critic = mean_action_critic(policy.specification)
    return save_checkpoint(path, policy, version=1, step=1, stage="offline_rl", critic=critic)


@pytest.mark.parametrize(("likely_fraction", "asked"), [(1.0, CANDIDATES), (0.6, 3)])
@pytest.mark.parametrize("runtime", ["onnxruntime", "torch"])
def test_of_the_likely_ones_of_several_candidates_the_one_of_the_highest_value_is_planned(
    folder: Path, policy: FlowPolicy, runtime: str, likely_fraction: float, asked: int
) -> None:
    single = ServedPolicy(str(folder), Sampling(3, 1.0, True), runtime, None)
    sampling = Sampling(3, 1.0, True, CANDIDATES, likely_fraction=likely_fraction)
    several = ServedPolicy(str(folder), sampling, runtime, None)
    chosen = set()
    for tick in range(6):
        observation = make_observation(policy.specification, tick * DT)
        candidates = [
            single.weights.session.sample(
                observation.proprioception,
                observation.images,
                sampling_noise(3, tick * DT, policy.length, policy.dimension, number)[None],
                1.0,
            )
            for number in range(CANDIDATES)
        ]
        values = [float(np.clip(candidate.actions, -1, 1).mean()) for candidate in candidates]
        likely = np.argsort([-candidate.log_prob[0] for candidate in candidates])[:asked]
        best = int(max(likely, key=lambda candidate: values[candidate]))
        chosen.add(best)
        chunk = several.plan(observation)
        assert np.abs(chunk.actions - candidates[best].actions[0]).max() < 1e-4
        assert chunk.log_prob == pytest.approx(candidates[best].log_prob[0], rel=1e-4)
        assert chunk.value == pytest.approx(values[best], abs=1e-5)
        assert np.array_equal(single.plan(observation).actions, candidates[0].actions[0])
    assert len(chosen) > 1


def test_a_single_candidate_needs_no_critic_and_has_no_value(folder: Path, policy: FlowPolicy) -> None:
    served = ServedPolicy(str(folder), Sampling(0, 1.0, True), "torch", None)
    assert np.isnan(served.plan(make_observation(policy.specification, 0)).value)


def test_several_candidates_without_a_critic_are_refused(tmp_path: Path, policy: FlowPolicy) -> None:
    folder = save_checkpoint(tmp_path / "c", policy, version=1, step=1, stage="imitation")
    with pytest.raises(CheckpointError, match=r"has no 'critic\.onnx' to choose among 8 candidates"):
        ServedPolicy(str(folder), Sampling(0, 1.0, True, 8), "torch", None)
