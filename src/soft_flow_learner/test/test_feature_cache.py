"""Features of frozen image encoders: when they are computed, when anew, and what they depend on."""

from collections.abc import Iterator, Mapping

import numpy as np
import pytest
import torch
from bag_maker import small_specification
from replay_maker import filled, make_episode

from soft_flow_learner.algorithm.algorithm_config import AlgorithmConfig, Objective
from soft_flow_learner.algorithm.chunk_critic import CriticConfig
from soft_flow_learner.algorithm.learner_batch import LearnerBatch
from soft_flow_learner.algorithm.soft_flow_algorithm import SoftFlow, SoftFlowUpdate
from soft_flow_learner.episode import EncodedEpisode, Episode
from soft_flow_learner.replay.chunk_windows import ChunkWindows
from soft_flow_learner.replay.feature_cache import FeatureCache
from soft_flow_learner.replay.replay_buffer import ReplayBuffer
from soft_flow_learner.replay.step_layout import StepLayout
from soft_flow_learner.training.frozen_cameras import BLOCK, FrozenCameras
from soft_flow_learner.training.stage_config import StageConfig
from soft_flow_learner.training.stage_runner import StageRunner
from soft_flow_policy import observation_encoder
from soft_flow_policy.image_encoder import ImageEncoder
from soft_flow_policy.policy import FlowPolicy
from soft_flow_policy.policy_config import FlowPolicyConfig

SPECIFICATION = small_specification()
CPU = torch.device("cpu")


@pytest.fixture(scope="module", autouse=True)
def one_thread() -> Iterator[None]:
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


class FirstPixel:
    """Its one feature is the first pixel times a weight; counts the images that it saw."""

    width = 1

    def __init__(self) -> None:
        self.weight, self.seen = 1.0, 0

    def key(self) -> str:
        return str(self.weight)

    def encode(self, images: Mapping[str, np.ndarray]) -> np.ndarray:
        self.seen += len(images["palm"])
        return self.weight * images["palm"][:, 0, 0, :1].astype(np.float32)


def told(buffer: ReplayBuffer, cache: FeatureCache, encoding: FirstPixel) -> list[float]:
    """Features of all stored rows, episode by episode."""
    rows = [np.arange(episode.first_row, episode.last_row + 1) for episode in buffer.episodes]
    return cache.at(np.concatenate(rows), encoding)[:, 0].tolist()


# -- what is computed, and when ------------------------------------------------------------------------------


def test_every_step_is_encoded_once_however_often_it_is_asked_for() -> None:
    buffer, encoding = filled(20, make_episode(1, 3), make_episode(2, 2)), FirstPixel()
    cache = FeatureCache(buffer)
    assert told(buffer, cache, encoding) == told(buffer, cache, encoding) == [10, 11, 12, 13, 20, 21, 22]
    assert encoding.seen == 7


def test_an_episode_that_arrives_is_encoded_and_no_other_one_again() -> None:
    buffer, encoding = filled(20, make_episode(1, 3)), FirstPixel()
    cache = FeatureCache(buffer)
    assert cache.bring_up_to_date(encoding) == 1
    buffer.add(make_episode(2, 2), "policy")
    assert told(buffer, cache, encoding)[4:] == [20, 21, 22]
    assert encoding.seen == 7


def test_rows_that_the_ring_overwrote_are_encoded_anew() -> None:
    buffer, encoding = filled(7, make_episode(1, 2), make_episode(2, 2)), FirstPixel()
    cache = FeatureCache(buffer)
    cache.bring_up_to_date(encoding)
    buffer.add(make_episode(3, 2), "policy")
    assert buffer.episodes[1].first_row == 0  # in the place of the first one
    assert told(buffer, cache, encoding) == [20, 21, 22, 30, 31, 32]
    assert encoding.seen == 9


def test_an_episode_that_comes_back_under_its_name_is_encoded_anew() -> None:
    buffer, encoding = filled(4, make_episode(1, 3, identifier="it")), FirstPixel()
    cache = FeatureCache(buffer)
    cache.bring_up_to_date(encoding)
    buffer.remove("it")
    buffer.add(make_episode(2, 3, identifier="it"), "policy")
    assert told(buffer, cache, encoding) == [20, 21, 22, 23]


def test_a_corrected_label_leaves_the_features_as_they_are() -> None:
    buffer, encoding = filled(20, make_episode(1, 3)), FirstPixel()
    cache = FeatureCache(buffer)
    before = told(buffer, cache, encoding)
    buffer.relabel("episode 1", "failure")
    assert told(buffer, cache, encoding) == before and encoding.seen == 4


def test_other_weights_make_all_features_anew() -> None:
    buffer, encoding = filled(20, make_episode(1, 3), make_episode(2, 2)), FirstPixel()
    cache = FeatureCache(buffer)
    cache.bring_up_to_date(encoding)
    encoding.weight = 2.0
    assert told(buffer, cache, encoding) == [20, 22, 24, 26, 40, 42, 44]
    assert encoding.seen == 14


def test_windows_bring_the_features_of_both_observations_and_keep_them_in_parts() -> None:
    buffer = filled(20, make_episode(1, 5))
    windows = ChunkWindows(buffer, 4, 3, 0.9)
    batch = windows.batch(np.arange(4), np.random.default_rng(0), images=False, encoding=FirstPixel())
    assert batch.images == {} and batch.image_features is not None
    part = batch.part(slice(1, 3), {}, {})
    assert part.image_features is not None and part.next_image_features is not None
    assert part.image_features[:, 0].tolist() == [11, 12]
    assert part.next_image_features[:, 0].tolist() == [14, 15]
    assert windows.batch(np.arange(2), np.random.default_rng(0)).part(slice(1), {}, {}).image_features is None


# -- the policy's encoders -----------------------------------------------------------------------------------


def make_algorithm() -> SoftFlow:
    torch.manual_seed(0)
    config = FlowPolicyConfig(context_width=16, flow={"blocks": 2, "width": 8})
    policy = FlowPolicy(config, SPECIFICATION)
    random = torch.Generator().manual_seed(1)
    proprioception = torch.rand((32, SPECIFICATION.proprioception_dimension), generator=random) * 2 - 1
    chunk = torch.rand((32, policy.length, policy.dimension), generator=random) - 0.5
    policy.fit_normalizers(proprioception, chunk)
    algorithm = SoftFlow(policy, AlgorithmConfig(critic=CriticConfig(width=8)))
    algorithm.scale.fit(proprioception)
    return algorithm


def make_task_episode(seed: int, actions: int) -> Episode:
    random = np.random.default_rng(seed)
    record = EncodedEpisode(
        identifier=f"episode {seed}",
        outcome="success",
        start_ns=0,
        proprioception=random.uniform(-1, 1, (actions + 1, SPECIFICATION.proprioception_dimension)).astype(
            np.float32
        ),
        actions=random.uniform(-0.5, 0.5, (actions, SPECIFICATION.action_dimension)).astype(np.float32),
        rewards=np.zeros(actions, dtype=np.float32),
        flags={},
        terminal=True,
        images={},
    )
    return Episode(record, {"palm": random.integers(0, 255, (actions + 1, 24, 24, 3), dtype=np.uint8)})


def make_windows(*lengths: int) -> ChunkWindows:
    buffer = ReplayBuffer(StepLayout.from_specification(SPECIFICATION), 400)
    for seed, length in enumerate(lengths):
        buffer.add(make_task_episode(seed, length), "demonstration")
    shape = SPECIFICATION.chunk
    return ChunkWindows(buffer, shape.length, shape.executed, 0.9)


def make_runner(windows: ChunkWindows, **objective: bool) -> StageRunner:
    stage = StageConfig(batch=8, objective=Objective(**objective))
    return StageRunner(make_algorithm(), stage, windows, seed=0)


@pytest.fixture
def encoder_calls(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """How many images passed an encoder, call by call."""
    calls: list[int] = []
    forward = ImageEncoder.forward

    def counted(
        self: ImageEncoder, images: torch.Tensor, offsets: torch.Tensor | None = None
    ) -> torch.Tensor:
        calls.append(len(images))
        return forward(self, images, offsets)

    monkeypatch.setattr(ImageEncoder, "forward", counted)
    return calls


def test_features_are_those_of_the_centre_crop_up_to_rounding() -> None:
    encoder = make_algorithm().policy.encoder
    images = make_task_episode(0, BLOCK + 5).images
    features = FrozenCameras(encoder, CPU).encode(images)
    seen = {"proprioception": torch.zeros(0), "images": {"palm": torch.from_numpy(images["palm"])}}
    with torch.no_grad():
        expected = encoder.image_features(seen).numpy()
    assert features.dtype == np.float32 and np.allclose(features, expected, atol=1e-5)


def test_an_episode_has_the_same_features_whatever_is_stored_beside_it() -> None:
    encoding = FrozenCameras(make_algorithm().policy.encoder, CPU)
    alone, last = make_windows(70), make_windows(70, 11, 9)
    last.features.bring_up_to_date(encoding)
    last.buffer.add(make_task_episode(9, 20), "policy")
    rows = np.arange(71)
    assert np.array_equal(alone.features.at(rows, encoding), last.features.at(rows, encoding))


def test_the_key_tells_a_change_of_any_camera_weight_and_of_nothing_else() -> None:
    policy = make_algorithm().policy
    encoding = FrozenCameras(policy.encoder, CPU)
    keys = [encoding.key()]
    with torch.no_grad():
        policy.encoder.fuse.weight += 1
        keys.append(encoding.key())
        for parameter in policy.encoder.cameras.parameters():
            parameter[(0,) * parameter.ndim] += 1e-3
            keys.append(encoding.key())
    assert keys[0] == keys[1] and len(set(keys)) == len(keys) - 1


@pytest.mark.parametrize("objective", [{"train_actor": False}, {"freeze_cameras": True}])
def test_stages_with_frozen_cameras_encode_every_step_once_and_no_batch(
    encoder_calls: list[int], objective: dict[str, bool]
) -> None:
    windows = make_windows(12, 9)
    runner = make_runner(windows, **objective)
    for number in range(3):
        runner.update(number)
    assert encoder_calls == [13, 10]
    assert runner.batch(5).observation["images"] == {}


def test_a_stage_after_the_other_uses_what_the_first_one_encoded(encoder_calls: list[int]) -> None:
    windows = make_windows(12)
    make_runner(windows, train_actor=False).update(0)
    make_runner(windows).update(0)
    assert encoder_calls == [13]


def test_cameras_that_learn_see_the_images_of_every_batch(encoder_calls: list[int]) -> None:
    runner = make_runner(make_windows(12), freeze_cameras=False)
    runner.update(0)
    assert encoder_calls == [8, 8]
    assert "image_features" not in runner.batch(1).observation


def test_an_update_on_features_is_the_update_on_centred_images(monkeypatch: pytest.MonkeyPatch) -> None:
    def centred(count: int, margin: int, generator: torch.Generator | None = None) -> torch.Tensor:
        return torch.full((count, 2), margin // 2)

    monkeypatch.setattr(observation_encoder, "draw_crop_offsets", centred)
    windows, rows = make_windows(12, 9), np.arange(8)
    results = []
    for cached in (True, False):
        algorithm = make_algorithm()
        update = SoftFlowUpdate(algorithm, Objective(trust_weight=0.5))
        encoding = FrozenCameras.of(algorithm.policy.encoder, CPU) if cached else None
        batch = LearnerBatch.of(windows.batch(rows, np.random.default_rng(0), encoding=encoding))
        results.append([update.update(batch, torch.Generator().manual_seed(3)) for _ in range(3)])
    for one, other in zip(*results, strict=True):
        assert one == pytest.approx(other, rel=1e-3, abs=1e-5)
