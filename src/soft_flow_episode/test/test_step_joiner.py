"""Which observations, actions and outcomes make an episode."""

import random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from soft_flow_episode.step_joiner import Outcome, StepJoiner

DT, START = 50, 1000


def outcome(terminal: bool = False, truncated: bool = False, valid: bool = True, of: str = "e") -> Outcome:
    return Outcome(
        of, 1.0, {"cut": terminal}, terminal, truncated, terminal, valid, "" if valid else "it broke"
    )


def joiner(max_steps: int = 100) -> StepJoiner:
    return StepJoiner("e", START, DT, max_steps)


def streams(steps: int, terminal: bool = True) -> list[list[tuple[str, int, object]]]:
    ends = [outcome(terminal and k == steps - 1, not terminal and k == steps - 1) for k in range(steps)]
    return [
        [("add_observation", START + k * DT, f"o{k}") for k in range(steps + 1)],
        [("add_action", START + k * DT, f"a{k}") for k in range(steps + 1)],
        [("add_outcome", START + (k + 1) * DT, end) for k, end in enumerate(ends)],
    ]


def feed(target: StepJoiner, events: list[tuple[str, int, object]]) -> None:
    for method, stamp, item in events:
        getattr(target, method)(stamp, item)


@given(st.integers(1, 12), st.integers(0, 10**6), st.booleans())
def test_any_interleaving_of_the_streams_gives_the_same_steps(steps: int, seed: int, terminal: bool) -> None:
    queues, shuffle, events = streams(steps, terminal), random.Random(seed), []
    while any(queues):
        events.append(shuffle.choice([queue for queue in queues if queue]).pop(0))
    target = joiner()
    feed(target, events)
    episode = target.joined()
    assert target.complete and not target.problem
    assert episode.observations == [f"o{k}" for k in range(steps + 1)]
    assert episode.actions == [f"a{k}" for k in range(steps)]
    assert len(episode) == len(episode.outcomes) == steps
    assert episode.terminated is terminal


def test_it_is_complete_only_with_the_final_observation() -> None:
    observations, actions, outcomes = streams(3)
    target = joiner()
    feed(target, [*observations[:-1], *actions[:-1], *outcomes])
    assert target.ended and not target.complete
    assert "observation of step 3" in target.missing()
    feed(target, observations[-1:])
    assert target.complete


def test_what_came_before_the_start_or_after_the_end_does_not_count() -> None:
    target = joiner()
    feed(target, [("add_observation", START - DT, "old"), ("add_action", START - 2 * DT, "old")])
    for stream in streams(2):
        feed(target, stream)
    for tick in (3, 4, 9):
        feed(
            target,
            [("add_observation", START + tick * DT, "late"), ("add_action", START + tick * DT, "late")],
        )
    feed(target, [("add_outcome", START + 3 * DT, outcome())])
    assert not target.problem
    assert len(target.joined()) == 2


@pytest.mark.parametrize(
    ("stream", "name"), [(0, "observation"), (1, "executed_action"), (2, "task/outcome")]
)
def test_a_gap_in_any_stream_makes_the_episode_invalid_and_is_named(stream: int, name: str) -> None:
    target, events = joiner(), streams(8)
    del events[stream][3:5]
    for queue in events:
        feed(target, queue)
    assert name in target.problem and "2 tick(s)" in target.problem


def test_an_invalid_outcome_makes_the_episode_invalid_and_gives_its_reason() -> None:
    target = joiner()
    feed(target, [("add_outcome", START + DT, outcome(valid=False))])
    assert target.problem == "invalid: it broke"


def test_outcomes_of_another_episode_are_ignored() -> None:
    target = joiner()
    feed(target, [("add_outcome", START + 7 * DT, outcome(of="another", valid=False))])
    assert not target.problem and target.steps == 0


def test_reaching_max_steps_truncates() -> None:
    target = joiner(max_steps=4)
    for stream in streams(9):
        feed(target, stream)
    episode = target.joined()
    assert len(episode) == 4 and len(episode.observations) == 5
    assert not episode.terminated


def test_an_operators_end_keeps_the_steps_that_are_complete() -> None:
    observations, actions, outcomes = streams(9)
    target = joiner()
    feed(target, [*observations[:6], *actions[:6], *outcomes[:4]])
    target.end_now()
    assert len(target.joined()) == 4


def test_an_incomplete_episode_cannot_be_taken() -> None:
    with pytest.raises(ValueError, match="waits for the observation of step 0"):
        joiner().joined()


@pytest.mark.parametrize(
    ("events", "expected"),
    [
        ([("add_observation", START, "o")], "executed_action of step 0"),
        ([("add_observation", START, "o"), ("add_action", START, "a")], "task/outcome of step 0"),
    ],
)
def test_a_stall_names_what_is_missing(events: list[tuple[str, int, object]], expected: str) -> None:
    target = joiner()
    feed(target, events)
    assert target.missing() == expected
