"""A learned critic travels with its policy, and the policy node lets it choose among several chunks."""

from pathlib import Path

import numpy as np
import pytest
import torch

from soft_flow_contract.message_conversion import from_observation_message, to_observation_message
from soft_flow_contract.steps import ObservationData
from soft_flow_contract.task_specification import TaskSpecification
from soft_flow_learner.algorithm.algorithm_config import AlgorithmConfig
from soft_flow_learner.algorithm.critic_export import critic_graph
from soft_flow_learner.algorithm.soft_flow_algorithm import SoftFlow
from soft_flow_policy.checkpoint import save_checkpoint
from soft_flow_policy.chunk_schedule import sampling_noise
from soft_flow_policy.policy import FlowPolicy
from soft_flow_policy.policy_config import FlowPolicyConfig

ROOT = Path(__file__).parents[1]
TASK_FILE = ROOT / "config" / "tasks" / "scissors.yaml"
CANDIDATES, SEED = 4, 3


def make_algorithm(specification: TaskSpecification) -> SoftFlow:
    """An actor that looks at one camera, and a critic whose members are far from constant."""
    torch.manual_seed(0)
    policy = FlowPolicy(FlowPolicyConfig(cameras=("external",)), specification)
    proprioception = torch.rand(64, specification.proprioception_dimension) * 2 - 1
    shape = (64, specification.chunk.length, specification.action_dimension)
    policy.fit_normalizers(proprioception, torch.rand(shape) - 0.5)
    algorithm = SoftFlow(policy, AlgorithmConfig())
    algorithm.scale.fit(proprioception)
    torch.nn.init.normal_(algorithm.critic.head.weight, std=0.3)
    return algorithm


@torch.no_grad()
def candidates_in_pytorch(algorithm: SoftFlow, seen: ObservationData) -> tuple[np.ndarray, np.ndarray]:
    """The candidates for an observation, (N, T, A), clipped, and their values (N,)."""
    policy = algorithm.policy
    image = torch.from_numpy(seen.images["external"].copy())[None]
    observation = {
        "proprioception": torch.from_numpy(seen.proprioception)[None],
        "images": {"external": image},
    }
    shape = (policy.length, policy.dimension)
    draws = [sampling_noise(SEED, seen.stamp_ns, *shape, number)[None] for number in range(CANDIDATES)]
    samples = [policy.sample(observation, 1.0, torch.from_numpy(draw), denoise=True) for draw in draws]
    chunks = torch.cat([sample.actions for sample in samples]).clamp(-1, 1)
    images = policy.encoder.image_features(observation)
    features = algorithm.critic_input(observation["proprioception"], images).repeat(CANDIDATES, 1)
    values = algorithm.critic.value(algorithm.critic(features, chunks[:, : algorithm.horizon]))
    return chunks.numpy(), values.numpy()


def test_the_node_flies_the_candidate_that_the_learners_critic_values_most(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.syspath_prepend(str(ROOT / "src" / "soft_flow_policy" / "test"))
    from policy_graph import DT, START, Graph, make_observation

    specification = TaskSpecification.load(TASK_FILE)
    algorithm = make_algorithm(specification)
    algorithm.policy.eval()
    critic = critic_graph(algorithm)
    folder = tmp_path / "policy"
    save_checkpoint(folder, algorithm.policy, version=1, step=1, stage="offline", critic=critic)
    graph = Graph(folder, specification, seed=SEED, temperature=1.0, candidates=CANDIDATES)
    chosen = set()
    try:
        graph.be_ready()
        for epoch in range(1, 7):
            stamp = START + epoch * DT
            graph.enter_epoch(epoch, stamp)
            assert graph.observe(stamp).healthy
            chunk = graph.wait_for_chunks(epoch)[-1]
            sent = to_observation_message(make_observation(specification, stamp), specification)
            chunks, values = candidates_in_pytorch(algorithm, from_observation_message(sent, specification))
            best = int(np.argmax(values))
            chosen.add(best)
            assert abs(chunk.value - values[best]) < 1e-4
            assert np.abs(np.asarray(chunk.actions).reshape(chunks[best].shape) - chunks[best]).max() < 1e-3
    finally:
        graph.close()
    assert len(chosen) > 1
