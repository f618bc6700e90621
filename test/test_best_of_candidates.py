"""A learned critic travels with its policy, and the policy node lets it choose among several chunks."""

import sys
import time
from pathlib import Path

import numpy as np
import pytest
import torch

from soft_flow_contract.message_conversion import from_observation_message, to_observation_message
from soft_flow_contract.steps import ObservationData
from soft_flow_contract.task_specification import TaskSpecification
from soft_flow_learner.algorithm.algorithm_config import AlgorithmConfig
from soft_flow_learner.algorithm.critic_export import CriticExport, critic_graph
from soft_flow_learner.algorithm.soft_flow_algorithm import SoftFlow
from soft_flow_policy.checkpoint import save_checkpoint
from soft_flow_policy.chunk_schedule import sampling_noise
from soft_flow_policy.policy import FlowPolicy
from soft_flow_policy.policy_config import FlowPolicyConfig
from soft_flow_policy.weights import record_weights

ROOT = Path(__file__).parents[1]
TASK_FILE = ROOT / "config" / "tasks" / "scissors.yaml"
CANDIDATES, LIKELY, SEED = 8, 4, 3

sys.path.insert(0, str(ROOT / "src" / "soft_flow_policy" / "test"))
from policy_graph import DT, START, Graph, make_observation  # noqa: E402


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
    """The likely ones of the candidates for an observation, (K, T, A), clipped, and their values (K,)."""
    policy = algorithm.policy
    image = torch.from_numpy(seen.images["external"].copy())[None]
    observation = {
        "proprioception": torch.from_numpy(seen.proprioception)[None],
        "images": {"external": image},
    }
    shape = (policy.length, policy.dimension)
    draws = [sampling_noise(SEED, seen.stamp_ns, *shape, number)[None] for number in range(CANDIDATES)]
    samples = [policy.sample(observation, 1.0, torch.from_numpy(draw), denoise=True) for draw in draws]
    likely = torch.cat([sample.log_prob for sample in samples]).topk(LIKELY).indices
    chunks = torch.cat([sample.actions for sample in samples])[likely].clamp(-1, 1)
    images = policy.encoder.image_features(observation)
    features = algorithm.critic_input(observation["proprioception"], images).repeat(LIKELY, 1)
    values = algorithm.critic.value(algorithm.critic(features, chunks[:, : algorithm.horizon]))
    return chunks.numpy(), values.numpy()


class Flight:
    """A policy node that chooses, and the chunks that it chose."""

    def __init__(self, folder: Path, specification: TaskSpecification, **parameters: object) -> None:
        self.specification, self._stamp = specification, START
        self.graph = Graph(
            folder,
            specification,
            seed=SEED,
            temperature=1.0,
            likely_fraction=LIKELY / CANDIDATES,
            **parameters,
        )
        self.graph.be_ready()

    def choose(self, algorithm: SoftFlow) -> int:
        """Plan once more, compare with PyTorch; which of the likely candidates it was, 0 the likeliest."""
        epoch, self._stamp = len(self.graph.chunks) + 1, self._stamp + DT
        self.graph.enter_epoch(epoch, self._stamp)
        assert self.graph.observe(self._stamp).healthy
        chunk = self.graph.wait_for_chunks(epoch)[-1]
        sent = to_observation_message(make_observation(self.specification, self._stamp), self.specification)
        seen = from_observation_message(sent, self.specification)
        chunks, values = candidates_in_pytorch(algorithm, seen)
        best = int(np.argmax(values))
        assert abs(chunk.value - values[best]) < 1e-4
        assert np.abs(np.asarray(chunk.actions).reshape(chunks[best].shape) - chunks[best]).max() < 1e-3
        return best


@pytest.fixture
def algorithm() -> SoftFlow:
    algorithm = make_algorithm(TaskSpecification.load(TASK_FILE))
    algorithm.policy.eval()
    return algorithm


@pytest.fixture
def folder(tmp_path: Path, algorithm: SoftFlow) -> Path:
    critic = critic_graph(algorithm)
    path = tmp_path / "policy"
    return save_checkpoint(path, algorithm.policy, version=1, step=1, stage="offline", critic=critic)


def test_the_node_flies_the_likely_candidate_that_the_learners_critic_values_most(
    folder: Path, algorithm: SoftFlow
) -> None:
    flight = Flight(folder, algorithm.policy.specification, candidates=CANDIDATES)
    try:
        assert len({flight.choose(algorithm) for _ in range(6)}) > 1
    finally:
        flight.graph.close()


def test_weights_from_the_learner_bring_the_critic_that_chooses_from_then_on(
    folder: Path, algorithm: SoftFlow
) -> None:
    export = CriticExport(algorithm)
    flight = Flight(folder, algorithm.policy.specification, candidates=CANDIDATES, accept_weights=True)
    graph = flight.graph
    try:
        flight.choose(algorithm)
        torch.nn.init.normal_(algorithm.critic.head.weight, std=0.3)
        record = record_weights(algorithm.policy, "run", 8, 1, time.time_ns(), critic=export.weights())
        graph.publish_weights(record)
        graph.until(lambda: graph.node._intake._prepared is not None, "weights prepared")
        for _ in range(3):
            flight.choose(algorithm)
        assert graph.chunks[-1].policy_version == 8
    finally:
        graph.close()
