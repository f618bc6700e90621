"""When commands are released in real time."""

from hypothesis import given
from hypothesis import strategies as st

from soft_flow_episode.tick_schedule import DueTicks, TickSchedule

DT, PHASE = 50, 25


def schedule() -> TickSchedule:
    return TickSchedule(DT, PHASE, longest_gap=10)


def test_a_tick_is_due_once_from_its_phase_on() -> None:
    ticks = schedule()
    ticks.due(1000 + PHASE)
    assert ticks.due(1050 + PHASE - 1) == DueTicks((), None)
    assert ticks.due(1050 + PHASE) == DueTicks((), 1050)
    assert ticks.due(1050 + PHASE + 3) == DueTicks((), None)


def test_ticks_that_were_slept_through_are_named() -> None:
    ticks = schedule()
    ticks.due(1000 + PHASE)
    assert ticks.due(1200 + PHASE + 7) == DueTicks((1050, 1100, 1150), 1200)


def test_a_jump_of_the_clock_is_not_an_overload() -> None:
    ticks = schedule()
    ticks.due(1000 + PHASE)
    assert ticks.due(10_000 + PHASE) == DueTicks((), 10_000)


def test_nothing_is_due_before_the_first_tick() -> None:
    assert schedule().due(PHASE - 1) == DueTicks((), None)
    assert schedule().due(PHASE) == DueTicks((), 0)


@given(st.lists(st.integers(1, 400), min_size=1, max_size=40), st.integers(0, 10_000))
def test_every_tick_is_given_at_most_once_and_in_order(steps: list[int], now: int) -> None:
    ticks, given_ticks = schedule(), []
    for step in steps:
        now += step
        due = ticks.due(now)
        given_ticks += [*due.skipped, *([due.current] if due.current is not None else [])]
        assert due.current is None or now >= due.current + PHASE
    assert given_ticks == sorted(set(given_ticks))


@given(st.integers(0, 10**6))
def test_the_next_release_is_a_phase_and_never_now(now: int) -> None:
    wait = schedule().until_next(now)
    assert 0 < wait <= DT
    assert (now + wait - PHASE) % DT == 0
