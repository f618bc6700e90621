"""The critic that travels with a policy values chunks as the one that was trained."""

import numpy as np
import pytest
import torch
from bag_maker import small_specification

from soft_flow_learner.algorithm.algorithm_config import AlgorithmConfig
from soft_flow_learner.algorithm.chunk_critic import CriticConfig
from soft_flow_learner.algorithm.critic_export import CriticExport, critic_graph
from soft_flow_learner.algorithm.soft_flow_algorithm import SoftFlow
from soft_flow_policy.chunk_value import OnnxChunkValue
from soft_flow_policy.policy import FlowPolicy
from soft_flow_policy.policy_config import FlowPolicyConfig

SPECIFICATION = small_specification()
LENGTH, DIMENSION = SPECIFICATION.chunk.length, SPECIFICATION.action_dimension
EXECUTED = SPECIFICATION.chunk.executed


def make_algorithm(cameras: tuple[str, ...], members: int = 2) -> SoftFlow:
    torch.manual_seed(0)
    torch.set_num_threads(1)
    config = FlowPolicyConfig(cameras=cameras, context_width=16, flow={"blocks": 2, "width": 8})
    policy = FlowPolicy(config, SPECIFICATION)
    proprioception = torch.rand(32, SPECIFICATION.proprioception_dimension) * 2 - 1
    policy.fit_normalizers(proprioception, torch.rand(32, LENGTH, DIMENSION) - 0.5)
    algorithm = SoftFlow(policy, AlgorithmConfig(critic=CriticConfig(width=16, members=members)))
    algorithm.scale.fit(proprioception)
    torch.nn.init.normal_(algorithm.critic.head.weight, std=0.3)
    torch.nn.init.zeros_(algorithm.critic.head.bias)
    return algorithm


def values_in_pytorch(
    algorithm: SoftFlow, proprioception: np.ndarray, image: np.ndarray, chunks: np.ndarray
) -> np.ndarray:
    seen = {"proprioception": torch.from_numpy(proprioception)[None], "images": {}}
    seen["images"] = {"palm": torch.from_numpy(image)[None]}
    with torch.no_grad():
        features = algorithm.critic_input(
            seen["proprioception"], algorithm.policy.encoder.image_features(seen)
        ).repeat(len(chunks), 1)
        logits = algorithm.critic(features, torch.from_numpy(chunks[:, :EXECUTED]).clamp(-1, 1))
        return algorithm.critic.value(logits).numpy()


def draw(count: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    random = np.random.default_rng(count)
    proprioception = random.uniform(-1, 1, SPECIFICATION.proprioception_dimension).astype(np.float32)
    image = random.integers(0, 256, (24, 24, 3), dtype=np.uint8)
    return proprioception, image, random.uniform(-1.5, 1.5, (count, LENGTH, DIMENSION)).astype(np.float32)


@pytest.mark.parametrize("cameras", [(), ("palm",)])
@pytest.mark.parametrize("members", [1, 2, 5])
def test_the_graph_gives_the_smallest_member_of_any_number_of_chunks(
    cameras: tuple[str, ...], members: int
) -> None:
    algorithm = make_algorithm(cameras, members)
    critic = OnnxChunkValue(critic_graph(algorithm), SPECIFICATION, candidates=4)
    for count in (1, 4, 17):
        proprioception, image, chunks = draw(count)
        values = critic.values(proprioception, {"palm": image}, chunks)
        expected = values_in_pytorch(algorithm, proprioception, image, chunks)
        assert np.abs(values - expected).max() < 1e-4
        assert count == 1 or np.ptp(values) > 1e-3


def test_only_the_executed_actions_count_and_only_within_the_box() -> None:
    critic = OnnxChunkValue(critic_graph(make_algorithm(())), SPECIFICATION, candidates=4)
    proprioception, _, chunks = draw(4)
    values = critic.values(proprioception, {}, chunks)
    later, clipped, first = chunks.copy(), np.clip(chunks, -1, 1), chunks.copy()
    later[:, EXECUTED:] = 0.7
    first[:, 0] = 0.1
    assert np.array_equal(critic.values(proprioception, {}, later), values)
    assert np.array_equal(critic.values(proprioception, {}, clipped), values)
    assert not np.allclose(critic.values(proprioception, {}, first), values)


def test_an_export_changes_neither_weights_nor_what_is_trained() -> None:
    algorithm = make_algorithm(("palm",))
    before = {name: value.clone() for name, value in algorithm.state_dict().items()}
    trained = [parameter.requires_grad for parameter in algorithm.parameters()]
    critic_graph(algorithm)
    assert all(torch.equal(value, before[name]) for name, value in algorithm.state_dict().items())
    assert [parameter.requires_grad for parameter in algorithm.parameters()] == trained
    assert algorithm.training


def test_the_graph_holds_the_critic_and_no_actor() -> None:
    algorithm = make_algorithm(())
    size = sum(4 * parameter.numel() for parameter in algorithm.critic.parameters())
    assert size < len(critic_graph(algorithm)) < size + 100_000


def test_a_graph_with_weights_that_came_later_values_as_the_critic_that_sent_them() -> None:
    algorithm = make_algorithm(("palm",))
    export = CriticExport(algorithm)
    served = OnnxChunkValue(export.graph(), SPECIFICATION, candidates=4)
    assert served.state.keys() == export.weights().keys()
    proprioception, image, chunks = draw(4)
    before = served.values(proprioception, {"palm": image}, chunks)
    with torch.no_grad():
        for parameter in algorithm.critic.parameters():  # as training changes them, in place
            parameter.add_(0.1 * torch.randn_like(parameter))
    newer = served.prepare(export.weights())
    values = newer.values(proprioception, {"palm": image}, chunks)
    assert np.abs(values - values_in_pytorch(algorithm, proprioception, image, chunks)).max() < 1e-4
    assert np.array_equal(served.values(proprioception, {"palm": image}, chunks), before)
    assert np.abs(values - before).max() > 1e-3


def test_weights_that_are_equal_when_the_graph_is_exported_stay_apart_in_it() -> None:
    algorithm = make_algorithm(("palm",))
    names = CriticExport(algorithm).weights().keys()
    trained = {name for name, _ in algorithm.critic.named_parameters()}
    assert {f"algorithm.critic.{name}" for name in trained} <= names
