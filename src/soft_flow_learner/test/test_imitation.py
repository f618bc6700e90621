"""The update: it learns, it is repeatable, it goes on from a saved state, it raises the alarm."""

import dataclasses
from collections.abc import Iterator

import numpy as np
import pytest
import torch
from bag_maker import small_specification

from soft_flow_learner.episode_store import ChunkBatch
from soft_flow_learner.errors import DivergenceError
from soft_flow_learner.imitation import Imitation, seeded_generator, to_tensors
from soft_flow_learner.learner_config import ImitationConfig
from soft_flow_learner.trainer import LossWatch
from soft_flow_policy.flow import FlowConfig
from soft_flow_policy.image_encoder import ImageEncoderConfig
from soft_flow_policy.policy import FlowPolicy
from soft_flow_policy.policy_config import FlowPolicyConfig

SPECIFICATION = small_specification()
NETWORK = FlowPolicyConfig(
    flow=FlowConfig(blocks=2, width=8), image=ImageEncoderConfig(crop_margin=2), context_width=16
)
CONFIG = ImitationConfig(batch=16, foresight_fields=("position",))


@pytest.fixture(scope="module", autouse=True)
def one_thread() -> Iterator[None]:
    """Tiny networks gain nothing from threads."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


def toy_batch(seed: int) -> ChunkBatch:
    """Chunks that repeat the position which a bright square in the image tells, left or right."""
    random = np.random.default_rng(seed)
    side = random.integers(0, 2, 16)
    images = np.full((16, 24, 24, 3), 40, dtype=np.uint8)
    for index, right in enumerate(side):
        images[index, 8:16, 14 * right + 1 : 14 * right + 9] = 220
    proprioception = random.normal(0, 0.1, (16, SPECIFICATION.proprioception_dimension))
    chunk = np.repeat((side - 0.5)[:, None, None], 4, axis=1) * np.ones(8) + random.normal(
        0, 0.02, (16, 4, 8)
    )
    future = np.concatenate([chunk[:, -1:], chunk[:, -1:, :4]], axis=2).repeat(3, axis=1)
    return ChunkBatch({"palm": images}, *(x.astype(np.float32) for x in (proprioception, chunk, future)))


def new_imitation(cameras: tuple[str, ...] | None = None) -> Imitation:
    torch.manual_seed(0)
    policy = FlowPolicy(NETWORK.model_copy(update={"cameras": cameras}), SPECIFICATION)
    batch = toy_batch(0)
    policy.fit_normalizers(torch.from_numpy(batch.proprioception), torch.from_numpy(batch.chunk))
    return Imitation(policy, CONFIG)


def train(imitation: Imitation, first: int, last: int) -> list[float]:
    return [imitation.update(toy_batch(u), seeded_generator(7, u), 1e-2, u).loss for u in range(first, last)]


def test_the_future_of_unseen_observations_is_foreseen_from_the_image() -> None:
    blind, seeing, unseen = new_imitation(cameras=()), new_imitation(), [toy_batch(1000)]
    train(blind, 0, 80), train(seeing, 0, 80)
    assert seeing.held_out(unseen, seed=0)[1] < 0.5 * blind.held_out(unseen, seed=0)[1]


def test_without_foresight_a_run_trains_and_resumes() -> None:
    config = CONFIG.model_copy(update={"foresight_weight": 0.0})
    imitation, resumed = (Imitation(new_imitation(cameras=()).policy, config) for _ in range(2))
    train(imitation, 0, 2)
    resumed.load_state(imitation.average.state_dict(), imitation.state())
    assert train(resumed, 2, 4) == train(imitation, 2, 4)


def share_on_the_right_side(imitation: Imitation, batch: ChunkBatch) -> float:
    observation, chunk = to_tensors(batch)
    sampled = imitation.average.sample(observation, generator=seeded_generator(3)).actions
    return float((sampled.mean((1, 2)).sign() == chunk.mean((1, 2)).sign()).float().mean())


def test_the_likelihood_of_unseen_chunks_rises() -> None:
    imitation, unseen = new_imitation(cameras=()), [toy_batch(1000)]
    before = imitation.held_out(unseen, seed=0)[0]
    train(imitation, 0, 100)
    assert imitation.held_out(unseen, seed=0)[0] < before - 0.5


def test_samples_follow_the_image_and_without_images_they_guess() -> None:
    blind, seeing = new_imitation(cameras=()), new_imitation()
    train(blind, 0, 150), train(seeing, 0, 150)
    assert share_on_the_right_side(blind, toy_batch(1000)) < 0.8
    assert share_on_the_right_side(seeing, toy_batch(1000)) > 0.9


def test_an_interrupted_training_goes_on_to_equal_losses_and_weights() -> None:
    whole, part = new_imitation(), new_imitation()
    losses = train(whole, 0, 8)
    assert train(part, 0, 4) == losses[:4]
    resumed = new_imitation()
    train(resumed, 0, 1)  # whatever was there before
    resumed.load_state(
        part.average.state_dict(), {k: v.contiguous().clone() for k, v in part.state().items()}
    )
    assert train(resumed, 4, 8) == losses[4:]
    for (name, one), other in zip(
        whole.average.state_dict().items(), resumed.average.state_dict().values(), strict=True
    ):
        assert torch.equal(one, other), name


def test_a_loss_that_is_not_finite_leaves_the_weights_as_they_were() -> None:
    imitation = new_imitation()
    before = {name: p.clone() for name, p in imitation.policy.named_parameters()}
    batch = toy_batch(0)
    spoilt = dataclasses.replace(batch, chunk=np.full_like(batch.chunk, np.nan))
    metrics = imitation.update(spoilt, seeded_generator(0), 1e-3, 0)
    assert not np.isfinite(metrics.loss)
    assert all(torch.equal(before[name], p) for name, p in imitation.policy.named_parameters())


def test_the_average_follows_the_weights_and_forgets_the_start() -> None:
    imitation = new_imitation()
    start = imitation.average.flow.log_scale.clone()
    train(imitation, 0, 30)
    averaged, current = imitation.average.flow.log_scale, imitation.policy.flow.log_scale.detach()
    assert (averaged - current).norm() < 0.5 * (start - current).norm()


@pytest.mark.parametrize(
    "metrics", [{"loss": float("nan"), "norm": 1.0}, {"loss": 1.0, "norm": float("inf")}]
)
def test_a_value_that_is_not_finite_stops_the_training(metrics: dict[str, float]) -> None:
    with pytest.raises(DivergenceError, match="update 5: .*is not finite; resume from the last checkpoint"):
        LossWatch(5.0).see(5, metrics["loss"], metrics)


def test_a_collapsing_likelihood_stops_the_training_but_noise_does_not() -> None:
    watch = LossWatch(divergence=2.0)
    for update in range(100):
        watch.see(update, -1.0 + (3.0 if update % 20 == 0 else 0.0), {})
    with pytest.raises(DivergenceError, match="the likelihood collapses"):
        for update in range(100, 400):
            watch.see(update, 10.0, {})
