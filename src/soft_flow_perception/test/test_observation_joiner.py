import itertools

import pytest

from soft_flow_perception.observation_joiner import JoinedTick, LockstepJoiner, RealtimeJoiner, SourceError

DT = 50
SOURCES = ("arm", "hand", "camera")


def fill(joiner: LockstepJoiner, stamp: int) -> JoinedTick | None:
    joined = [joiner.add(source, stamp, f"{source}@{stamp}") for source in SOURCES]
    assert joined[:-1] == [None, None]
    return joined[-1]


@pytest.mark.parametrize("order", list(itertools.permutations(SOURCES)))
def test_a_tick_is_joined_when_the_last_source_comes_whatever_the_order(order: tuple[str, ...]) -> None:
    joiner = LockstepJoiner(SOURCES, DT)
    assert joiner.add(order[0], 100, 0) is None
    assert joiner.add(order[1], 100, 1) is None
    tick = joiner.add(order[2], 100, 2)
    assert tick is not None
    assert (tick.stamp_ns, tick.values, tick.executed) == (100, dict(zip(order, range(3), strict=True)), None)


def test_samples_of_different_ticks_are_never_mixed() -> None:
    joiner = LockstepJoiner(SOURCES, DT)
    joiner.add("arm", 100, 0)
    joiner.add("hand", 150, 0)
    assert joiner.add("camera", 100, 0) is None
    assert joiner.waiting_for() == ["arm", "camera"]


def test_a_tick_waits_for_the_action_executed_at_the_tick_before() -> None:
    joiner = LockstepJoiner(SOURCES, DT)
    assert fill(joiner, 100) is not None
    assert fill(joiner, 150) is None
    assert joiner.waiting_for() == ["executed_action"]
    tick = joiner.add_executed(100, "action")
    assert tick is not None
    assert (tick.stamp_ns, tick.executed) == (150, "action")


def test_an_action_that_comes_before_the_samples_is_joined_too() -> None:
    joiner = LockstepJoiner(SOURCES, DT)
    fill(joiner, 100)
    assert joiner.add_executed(100, "action") is None
    tick = fill(joiner, 150)
    assert tick is not None and tick.executed == "action"


def test_the_first_tick_after_a_gap_has_no_executed_action() -> None:
    joiner = LockstepJoiner(SOURCES, DT)
    fill(joiner, 100)
    joiner.add_executed(100, "old world")
    tick = fill(joiner, 1000)
    assert tick is not None and tick.executed is None


def test_a_tick_is_published_once_and_stamps_never_go_backwards() -> None:
    joiner = LockstepJoiner(SOURCES, DT)
    fill(joiner, 100)
    assert [joiner.add(source, stamp, 0) for stamp in (100, 50) for source in SOURCES] == [None] * 6


def test_the_newest_sample_not_younger_than_the_tick_is_taken_with_its_age() -> None:
    joiner = RealtimeJoiner(dict.fromkeys(["arm", "camera"], 120))
    for stamp in (960, 990, 1010):
        joiner.add("camera", stamp, stamp)
    joiner.add("arm", 1000, 1000)
    tick = joiner.join(1000)
    assert tick.values == {"camera": 990, "arm": 1000}
    assert tick.oldest_age_ns == 10


@pytest.mark.parametrize(
    ("stamp", "what"), [(None, "camera: no sample has come"), (879, "camera: newest sample is")]
)
def test_a_source_that_is_missing_or_too_old_is_named(stamp: int | None, what: str) -> None:
    joiner = RealtimeJoiner(dict.fromkeys(["arm", "camera"], 120))
    joiner.add("arm", 1000, 0)
    if stamp is not None:
        joiner.add("camera", stamp, 0)
    with pytest.raises(SourceError, match=what):
        joiner.join(1000)


def test_a_simulated_tick_is_complete_when_all_sources_carry_its_stamp() -> None:
    joiner = RealtimeJoiner(dict.fromkeys(["arm", "camera"], 120))
    joiner.add("arm", 1000, 0)
    joiner.add("camera", 950, 0)
    assert not joiner.complete(1000)
    joiner.add("camera", 1000, 0)
    assert joiner.complete(1000)


def test_a_sample_with_an_older_stamp_than_the_last_is_dropped() -> None:
    joiner = RealtimeJoiner(dict.fromkeys(["arm"], 120))
    joiner.add("arm", 1000, "new")
    joiner.add("arm", 950, "late")
    assert joiner.join(1000).values == {"arm": "new"}


@pytest.mark.parametrize(
    ("stamp", "epoch_start", "expected"),
    [(950, 0, "action"), (950, 1000, None), (1000, 0, None), (800, 0, None)],
    ids=["the tick before", "of another epoch", "of this very tick", "too old"],
)
def test_only_a_recent_action_of_this_epoch_is_joined(
    stamp: int, epoch_start: int, expected: str | None
) -> None:
    joiner = RealtimeJoiner(dict.fromkeys(["arm"], 120))
    joiner.add("arm", 1000, 0)
    joiner.add_executed(stamp, "action")
    assert joiner.join(1000, epoch_start).executed == expected


def test_in_real_time_every_source_has_its_own_limit() -> None:
    joiner = RealtimeJoiner({"arm": 60, "camera": 100})
    joiner.add("arm", 910, "a")
    joiner.add("camera", 910, "c")
    assert joiner.join(960).oldest_age_ns == 50
    joiner.add("camera", 920, "d")
    with pytest.raises(SourceError, match="arm: newest"):
        joiner.join(980)
    joiner.add("arm", 990, "b")
    with pytest.raises(SourceError, match="camera: newest"):
        joiner.join(1030)
