"""Laws of chunks, padding, order and split."""

import numpy as np
import pytest
from bag_maker import small_specification

from soft_flow_contract.action_space import ActionSpace, RobotTarget
from soft_flow_contract.pose import Pose
from soft_flow_learner.episode import EncodedEpisode, Episode
from soft_flow_learner.episode_store import EpisodeStore, pad_with_hold
from soft_flow_learner.errors import NoDataError
from soft_flow_learner.held_out import identifier_fraction, split_held_out
from soft_flow_learner.row_order import RowOrder

SPECIFICATION = small_specification()
T = SPECIFICATION.chunk.length


def numbered_episode(number: int, actions: int) -> Episode:
    """Every number and pixel tells the episode (tens) and the step (ones)."""
    steps = np.arange(actions + 1)
    record = EncodedEpisode(
        identifier=f"episode {number}",
        outcome="success",
        start_ns=0,
        proprioception=np.tile((10 * number + steps)[:, None], (1, 12)).astype(np.float32),
        actions=np.tile((10 * number + steps[:-1])[:, None], (1, 8)).astype(np.float32),
        rewards=np.zeros(actions, dtype=np.float32),
        flags={},
        terminal=True,
        images={},
    )
    return Episode(
        record, {"palm": np.tile((10 * number + steps)[:, None, None, None], (1, 2, 2, 3)).astype(np.uint8)}
    )


@pytest.fixture
def store() -> EpisodeStore:
    return EpisodeStore(
        [numbered_episode(1, 6), numbered_episode(2, 3), numbered_episode(3, 1)], SPECIFICATION
    )


def test_every_action_is_the_start_of_one_chunk(store: EpisodeStore) -> None:
    assert len(store) == 6 + 3 + 1
    assert store.chunks(np.arange(10))[:, 0, 0].tolist() == [10, 11, 12, 13, 14, 15, 20, 21, 22, 30]


def test_observation_and_chunk_of_a_row_belong_to_the_same_step(store: EpisodeStore) -> None:
    rows = np.array([7, 0, 9, 3])
    batch = store.batch(rows)
    for index, row in enumerate(rows):
        episode, step = store.place(row)
        expected = 10 * (episode + 1) + step
        assert batch.chunk[index, 0, 0] == expected
        assert batch.proprioception[index, 0] == expected
        assert (batch.images["palm"][index] == expected).all()


def test_the_future_of_a_row_ends_with_its_episode(store: EpisodeStore) -> None:
    future = store.batch(np.array([0, 4, 7]), future_steps=(1, 3)).future
    assert future[:, :, 0].tolist() == [[11, 13], [15, 16], [22, 23]]


def test_chunks_never_reach_into_another_episode(store: EpisodeStore) -> None:
    for row, chunk in enumerate(store.chunks(np.arange(len(store)))):
        episode, _ = store.place(row)
        assert set(chunk[:, 6:].ravel() // 10) == {episode + 1}


def test_chunks_past_the_end_hold_the_hand_and_do_not_move_the_arm(store: EpisodeStore) -> None:
    chunk = store.chunks(np.array([4]))[0]  # steps 4 and 5 of an episode with 6 actions, then padding
    assert chunk[:, 0].tolist() == [14, 15, 0, 0]
    assert chunk[:, 7].tolist() == [14, 15, 15, 15]


def test_the_padding_is_the_hold_action_of_the_contract() -> None:
    space = ActionSpace(SPECIFICATION)
    random = np.random.default_rng(0)
    action = random.uniform(-1, 1, space.dimension)
    start = RobotTarget(Pose(np.zeros(3), np.array([0.0, 0.0, 0.0, 1.0])), np.zeros(2))
    reached = space.apply(start, action)
    padding = pad_with_hold(action[None], 2)[1]
    np.testing.assert_allclose(padding, space.hold(reached.hand), atol=1e-12)


def test_a_store_without_episodes_is_an_error() -> None:
    with pytest.raises(NoDataError, match="collect some first"):
        EpisodeStore([], SPECIFICATION)


@pytest.mark.parametrize(("rows", "batch"), [(10, 3), (10, 10), (3, 8)])
def test_an_epoch_shows_every_row_once(rows: int, batch: int) -> None:
    order = RowOrder(rows, batch, seed=0)
    seen = np.concatenate([order.batch(update) for update in range(rows)])[: rows * batch]
    for epoch in seen.reshape(batch, rows):
        assert sorted(epoch) == list(range(rows))


def test_the_order_depends_on_seed_and_update_alone() -> None:
    forward = RowOrder(20, 6, seed=5)
    expected = [forward.batch(update) for update in range(9)]
    fresh = RowOrder(20, 6, seed=5)
    for update in (8, 2, 5, 0):
        np.testing.assert_array_equal(fresh.batch(update), expected[update])
    assert (RowOrder(20, 6, seed=6).batch(0) != expected[0]).any()


def test_an_episode_stays_on_its_side_of_the_split_when_others_come_and_go() -> None:
    episodes = [numbered_episode(number, 1) for number in range(60)]
    _, held_out = split_held_out(episodes, 0.2)
    _, of_half = split_held_out(episodes[::-2], 0.2)
    assert {e.record.identifier for e in of_half} == {
        e.record.identifier
        for e in held_out
        if e.record.identifier in {x.record.identifier for x in episodes[::-2]}
    }
    assert 4 <= len(held_out) <= 20


def test_the_split_does_not_depend_on_the_order_of_the_episodes() -> None:
    episodes = [numbered_episode(number, 1) for number in range(20)]
    forward, backward = split_held_out(episodes, 0.2), split_held_out(episodes[::-1], 0.2)
    for one, other in zip(forward, backward, strict=True):
        assert [e.record.identifier for e in one] == [e.record.identifier for e in other[::-1]]


@pytest.mark.parametrize("fraction", [1e-9, 0.999999])
def test_both_sides_of_the_split_have_an_episode_if_there_are_two(fraction: float) -> None:
    training, held_out = split_held_out([numbered_episode(1, 1), numbered_episode(2, 1)], fraction)
    assert len(training) == len(held_out) == 1


def test_nothing_is_held_out_of_one_episode_or_when_nothing_shall_be() -> None:
    episodes = [numbered_episode(number, 1) for number in range(5)]
    assert split_held_out(episodes, 0.0)[1] == []
    assert len(split_held_out(episodes[:1], 1e-9)[0]) == 1


def test_the_fraction_of_an_identifier_never_changes() -> None:
    assert identifier_fraction("episode") == pytest.approx(0.49318400, abs=1e-8)
