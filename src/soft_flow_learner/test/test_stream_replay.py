"""The parts of a replay that need no graph: heads of messages, the schedule, the account."""

import pytest
from bag_maker import make_transitions, records, small_specification
from hypothesis import given
from hypothesis import strategies as st
from rclpy.serialization import serialize_message

from soft_flow_contract.learner_progress import LearnerProgress
from soft_flow_learner.errors import BagError
from soft_flow_learner.stream.replay_account import EPISODES_AHEAD, ReplayAccount
from soft_flow_learner.stream.replay_schedule import ReplaySchedule
from soft_flow_learner.stream.transition_head import TransitionHead, transition_head
from soft_flow_msgs.msg import Transition


def progress(received: int = 0, **changes: object) -> LearnerProgress:
    values = {"committed_episodes": 0, "dropped": 0, "episodes": {}, "missing": {}, "settled": {}, **changes}
    return LearnerProgress(received=received, **values)  # type: ignore[arg-type]


@given(
    st.text(st.characters(blacklist_characters="\0", blacklist_categories=["Cs"]), max_size=9),
    st.text(st.characters(blacklist_characters="\0", blacklist_categories=["Cs"]), max_size=9),
    st.integers(0, 2**32 - 1),
    st.integers(0, 2**31 - 1),
)
def test_the_head_of_a_transition_is_what_deserializing_gives(
    frame: str, episode_id: str, step: int, second: int
) -> None:
    message = Transition(episode_id=episode_id, step=step)
    message.header.frame_id = frame
    message.header.stamp.sec, message.header.stamp.nanosec = second, 5
    expected = TransitionHead(second * 10**9 + 5, episode_id, step)
    assert transition_head(serialize_message(message)) == expected


@given(st.binary(max_size=40))
def test_other_bytes_are_refused_or_read_but_never_crash(data: bytes) -> None:
    try:
        transition_head(data)
    except BagError as error:
        assert "not a Transition message" in str(error)


def test_a_truncated_head_is_refused() -> None:
    (_, _, _, data), *_ = records(make_transitions(small_specification(), 1))
    with pytest.raises(BagError, match="30 bytes that are not a Transition message"):
        transition_head(data[:30])


def test_at_a_rate_the_steps_of_an_episode_keep_their_distances_and_episodes_follow_at_once() -> None:
    schedule, tick = ReplaySchedule(2.0), 50_000_000
    assert schedule.due(TransitionHead(1000 * tick, "a", 0), 7)
    assert not schedule.due(TransitionHead(1001 * tick, "a", 1), 6 + tick // 2)
    assert schedule.due(TransitionHead(1001 * tick, "a", 1), 7 + tick // 2)
    assert schedule.due(TransitionHead(0, "b", 0), 8 + tick // 2)
    assert not schedule.due(TransitionHead(tick, "b", 1), 8 + tick // 2)


def test_at_rate_zero_everything_is_due() -> None:
    schedule = ReplaySchedule(0.0)
    assert all(schedule.due(TransitionHead(step * 10**9, "a", step), 0) for step in range(3))


def test_nothing_may_be_sent_before_the_learner_was_heard() -> None:
    account = ReplayAccount(10)
    assert not account.may_send("a")
    account.note_progress(progress(500))
    assert account.may_send("a")


def test_what_the_learner_received_before_counts_for_nothing() -> None:
    account = ReplayAccount(3)
    account.note_progress(progress(500, settled={"a": "committed"}))
    for step in range(3):
        account.note_sent("a", step)
    assert not account.may_send("a") and account.missing() == {"a": (0, 1, 2)}
    assert account.note_progress(progress(502, episodes={"a": 2})) and account.may_send("a")
    assert account.missing() == {"a": (2,)} and not account.settled


def test_an_earlier_end_of_the_same_episode_does_not_count() -> None:
    account = ReplayAccount(10)
    old = {"episodes": {"a": 2}, "settled": {"a": "dropped: a gap"}}
    account.note_progress(progress(2, **old))
    account.note_sent("a", 0)
    account.note_progress(progress(2, **old))
    assert not account.settled and account.missing() == {"a": (0,)}
    account.note_sent("a", 1)
    account.note_progress(progress(4, episodes={"a": 2}, settled={"a": "committed"}))
    assert account.settled and account.problem() == ""


def test_no_more_episodes_are_under_way_than_the_learner_surely_remembers() -> None:
    account = ReplayAccount(1000)
    account.note_progress(progress())
    for number in range(EPISODES_AHEAD):
        assert account.may_send(str(number))
        account.note_sent(str(number), 0)
    assert account.may_send("0") and not account.may_send("new")
