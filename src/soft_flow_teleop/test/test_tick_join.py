"""Joining two streams on their ticks."""

import random

from hypothesis import given
from hypothesis import strategies as st

from soft_flow_teleop.tick_join import TickJoin


@given(st.integers(1, 30), st.integers(0, 10**6))
def test_streams_that_stay_close_are_joined_whatever_the_order_between_them(count: int, seed: int) -> None:
    shuffle, join, pairs = random.Random(seed), TickJoin[str, str](depth=4), []
    queues = {"first": list(range(count)), "second": list(range(count))}
    while any(queues.values()):
        ahead = len(queues["second"]) - len(queues["first"])
        choices = [name for name, queue in queues.items() if queue]
        if abs(ahead) >= 3:  # the depth bounds how far one may run ahead
            choices = ["second" if ahead > 0 else "first"]
        name = shuffle.choice(choices)
        tick = queues[name].pop(0)
        pairs.append(
            join.add_first(tick, f"a{tick}") if name == "first" else join.add_second(tick, f"b{tick}")
        )
    assert [pair for pair in pairs if pair] == [(f"a{k}", f"b{k}") for k in range(count)]


def test_a_tick_with_one_side_only_is_dropped_once_a_newer_one_is_whole() -> None:
    join = TickJoin[str, str]()
    assert join.add_first(1, "a1") is None
    assert join.add_first(2, "a2") is None
    assert join.add_second(2, "b2") == ("a2", "b2")
    assert join.add_second(1, "b1") is None


def test_memory_is_bounded() -> None:
    join = TickJoin[int, int](depth=3)
    for tick in range(10):
        join.add_first(tick, tick)
    assert join.add_second(6, 0) is None
    assert join.add_second(7, 0) == (7, 0)
