"""What arrives as a stream becomes episodes, and what does not is reported."""

import re
from collections.abc import Callable, Sequence
from dataclasses import replace

import numpy as np
import pytest
from bag_maker import make_transitions, records, small_specification
from hypothesis import given
from hypothesis import strategies as st

from soft_flow_contract.encoded_step import EncodedStep
from soft_flow_contract.learner_progress import REMEMBERED_EPISODES
from soft_flow_contract.message_conversion import encoded_step_from_bytes
from soft_flow_learner.episode import EncodedEpisode
from soft_flow_learner.stream.episode_staging import EpisodeStaging, StagingReport
from soft_flow_learner.stream.label_corrections import LabelCorrection, LabelCorrections
from soft_flow_learner.stream.step_ranges import step_ranges

SPECIFICATION = small_specification()


def make_steps(actions: int = 6, seed: int = 0, outcome: str = "success") -> list[EncodedStep]:
    messages = make_transitions(SPECIFICATION, actions, seed, outcome)
    return [encoded_step_from_bytes(data) for _, _, _, data in records(messages)]


STEPS = make_steps()
OTHER = make_steps(seed=1, outcome="failure")
IDENTIFIER = STEPS[0].episode_id


def feed(staging: EpisodeStaging, steps: Sequence[EncodedStep]) -> list[EncodedEpisode]:
    return [episode for step in steps if (episode := staging.add(step)) is not None]


def kinds(staging: EpisodeStaging) -> list[str]:
    return [report.kind for report in staging.reports]


def changed(index: int, **changes: object) -> list[EncodedStep]:
    return [replace(step, **changes) if at == index else step for at, step in enumerate(STEPS)]  # type: ignore[arg-type]


def correction(outcome: str, stamp_ns: int = 1, episode_id: str = IDENTIFIER) -> LabelCorrection:
    return LabelCorrection(stamp_ns=stamp_ns, episode_id=episode_id, outcome=outcome, source="anna")  # type: ignore[arg-type]


def test_the_last_step_commits_an_episode_and_the_ones_before_it_do_not() -> None:
    staging = EpisodeStaging(SPECIFICATION)
    assert feed(staging, STEPS[:-1]) == [] and staging.reports == []
    (episode,) = feed(staging, STEPS[-1:])
    assert (episode.identifier, episode.outcome, len(episode.actions)) == (IDENTIFIER, "success", 6)
    assert staging.reports == [StagingReport(IDENTIFIER, "committed", steps=7)]


@given(st.permutations(range(6)))
def test_steps_may_come_in_any_order_before_the_last_one(order: list[int]) -> None:
    (episode,) = feed(EpisodeStaging(SPECIFICATION), [*(STEPS[index] for index in order), STEPS[-1]])
    np.testing.assert_array_equal(episode.actions, np.stack([step.action for step in STEPS[:-1]]))


@given(st.lists(st.booleans(), min_size=14, max_size=14))
def test_two_episodes_may_interleave_in_any_way(turns: list[bool]) -> None:
    first, second = list(STEPS), list(OTHER)
    mixed = [(first if turn and first or not second else second).pop(0) for turn in turns]
    staging = EpisodeStaging(SPECIFICATION)
    assert {episode.outcome for episode in feed(staging, mixed)} == {"success", "failure"}
    assert kinds(staging) == ["committed", "committed"]


BAD = {
    "a gap": (STEPS[:3] + STEPS[5:], "it has a gap: step 5 follows step 2 .*missing steps: 3-4", (3, 4)),
    "a missing beginning": (STEPS[2:], "its beginning is missing.*missing steps: 0-1", (0, 1)),
    "a repeated step": (STEPS[:3] + STEPS[2:], "step 2 occurs twice", ()),
    "a tick too much": (changed(3, stamp_ns=STEPS[3].stamp_ns + 1), "it has a gap", ()),
    "another specification": (
        changed(2, specification_hash="ab" * 32),
        "step 2 was recorded for specification abababababab of task 'toy', expected",
        (),
    ),
    "a NaN in the observation": (
        changed(1, proprioception=np.full_like(STEPS[1].proprioception, np.nan)),
        "step 1: proprioception field 'position' is not finite",
        (),
    ),
    "a NaN in the action": (
        changed(1, action=np.full_like(STEPS[1].action, np.nan)),
        "step 1: action or reward is not finite",
        (),
    ),
    "a reward that is not finite": (changed(1, reward=float("inf")), "action or reward is not finite", ()),
    "an image too few": (changed(4, images=()), "step 4: 0 images, expected 1", ()),
    "a discarded outcome": (changed(6, outcome="discard"), "its outcome is 'discard'", ()),
    "no outcome": (changed(6, outcome=""), "its outcome is ''", ()),
    "no action": ([replace(STEPS[0], is_last=True)], "it is empty", ()),
}


@pytest.mark.parametrize(("steps", "reason", "missing"), BAD.values(), ids=BAD)
def test_a_bad_episode_is_dropped_with_its_reason_and_missing_steps(
    steps: list[EncodedStep], reason: str, missing: tuple[int, ...]
) -> None:
    staging = EpisodeStaging(SPECIFICATION)
    assert feed(staging, steps) == []
    (report,) = staging.reports
    assert (report.kind, report.missing_steps) == ("dropped", missing)
    assert re.search(reason, report.reason), report.reason
    assert staging.dropped == 1


@pytest.mark.parametrize("steps", [steps for steps, _, _ in BAD.values()], ids=BAD)
def test_a_dropped_episode_is_taken_when_it_comes_again_whole(steps: list[EncodedStep]) -> None:
    staging = EpisodeStaging(SPECIFICATION)
    feed(staging, steps)
    assert len(feed(staging, STEPS)) == 1
    assert kinds(staging) == ["dropped", "committed"]


def test_an_episode_that_breaks_off_and_begins_again_is_taken_the_second_time() -> None:
    staging = EpisodeStaging(SPECIFICATION)
    assert len(feed(staging, STEPS[:4] + STEPS)) == 1
    assert kinds(staging) == ["dropped", "committed"]
    assert staging.reports[0].reason == "it began again before its end"


def test_a_bag_played_twice_is_recognised_and_reported_once() -> None:
    staging = EpisodeStaging(SPECIFICATION)
    assert len(feed(staging, STEPS + STEPS)) == 1
    assert staging.reports[1:] == [
        StagingReport(IDENTIFIER, "duplicate", "it was committed before", steps=7),
    ]
    assert staging.progress().settled == {IDENTIFIER: "duplicate: it was committed before"}


def test_episodes_of_an_earlier_run_are_duplicates_too() -> None:
    staging = EpisodeStaging(SPECIFICATION, committed={IDENTIFIER: "success"})
    assert feed(staging, STEPS) == [] and kinds(staging) == ["duplicate"]


def test_steps_that_come_after_their_episode_was_settled_are_counted_and_harmless() -> None:
    staging = EpisodeStaging(SPECIFICATION)
    feed(staging, [*STEPS[:3], STEPS[-1], *STEPS[3:6]])
    assert (kinds(staging), staging.late_steps, staging.received) == (["dropped"], 3, 7)
    assert len(feed(staging, STEPS)) == 1


def test_of_too_many_unfinished_episodes_the_oldest_is_dropped_naming_what_is_missing() -> None:
    staging = EpisodeStaging(SPECIFICATION, unfinished=2)
    starts = [make_steps(seed=seed)[:5] for seed in range(3)]
    feed(staging, [starts[0][0], starts[0][3], starts[1][0], starts[0][4], starts[2][0]])
    (report,) = staging.reports
    assert (report.episode_id, report.kind, report.steps) == (starts[0][0].episode_id, "dropped", 3)
    assert report.missing_steps == (1, 2)
    assert "its end did not come after step 4" in report.reason and "missing steps: 1-2" in report.reason


@pytest.mark.parametrize("step", [4_000_000_000, 10])
def test_an_episode_without_end_or_with_an_absurd_step_is_dropped(step: int) -> None:
    staging = EpisodeStaging(SPECIFICATION, longest=10)
    feed(staging, [*STEPS[:2], replace(STEPS[2], step=step)])
    assert kinds(staging) == ["dropped"] and f"longer than 10 steps (came to step {step})" in (
        staging.reports[0].reason
    )


def test_what_a_sender_counted_is_compared_step_by_step() -> None:
    staging = EpisodeStaging(SPECIFICATION, committed={"old": "success"})
    feed(staging, [*STEPS, *OTHER[:2], OTHER[3]])
    sent = {IDENTIFIER: 7, OTHER[0].episode_id: 6, "never": 2, "old": 5}
    assert staging.expected(sent) == {OTHER[0].episode_id: (2, 4, 5), "never": (0, 1)}


def test_progress_tells_counts_gaps_and_ends_of_the_newest_episodes() -> None:
    staging = EpisodeStaging(SPECIFICATION)
    feed(staging, [*STEPS, OTHER[0], OTHER[2]])
    progress = staging.progress()
    assert (progress.received, progress.committed_episodes, progress.dropped) == (9, 1, 0)
    assert progress.episodes == {IDENTIFIER: 7, OTHER[0].episode_id: 2}
    assert progress.missing == {OTHER[0].episode_id: (1,)}
    assert progress.settled == {IDENTIFIER: "committed"}
    feed(staging, [replace(step, episode_id=str(number)) for number in range(100) for step in STEPS])
    assert len(staging.progress().episodes) == REMEMBERED_EPISODES + 1  # the one under way is kept


def test_a_correction_after_the_arrival_is_handed_to_the_learner() -> None:
    staging = EpisodeStaging(SPECIFICATION)
    feed(staging, STEPS)
    assert staging.correct(correction("failure")) == correction("failure")
    assert staging.reports[-1].kind == "relabelled"
    assert staging.reports[-1].reason == "from success to failure, by anna"


def test_a_correction_before_the_arrival_waits_for_its_episode() -> None:
    staging = EpisodeStaging(SPECIFICATION)
    assert staging.correct(correction("failure")) is None
    (episode,) = feed(staging, STEPS)
    assert episode.outcome == "failure" and kinds(staging) == ["committed", "relabelled"]


def test_an_episode_whose_label_was_corrected_to_discard_is_dropped() -> None:
    staging = EpisodeStaging(SPECIFICATION, corrections=LabelCorrections([correction("discard")]))
    assert feed(staging, STEPS) == [] and "discard" in staging.reports[0].reason


@pytest.mark.parametrize("arrived", [True, False])
def test_the_newest_stamp_wins_whenever_it_comes(arrived: bool) -> None:
    staging = EpisodeStaging(SPECIFICATION)
    arrive: Callable[[], list[EncodedEpisode]] = lambda: feed(staging, STEPS)  # noqa: E731
    early = arrive() if arrived else []
    results = [
        staging.correct(correction(*item)) for item in (("failure", 5), ("success", 3), ("failure", 6))
    ]
    assert [result is not None for result in results] == [arrived, False, False]
    late = [] if arrived else arrive()
    assert [episode.outcome for episode in early + late] == ["success" if arrived else "failure"]


def test_an_empty_table_of_corrections_is_shared_and_not_replaced() -> None:
    corrections = LabelCorrections()
    staging = EpisodeStaging(SPECIFICATION, corrections=corrections)
    staging.correct(correction("failure"))
    assert corrections.outcome_of(IDENTIFIER, "success") == "failure"


@pytest.mark.parametrize(
    ("steps", "text"), [([], ""), ([4], "4"), ([3, 9, 8, 7, 7], "3, 7-9"), (range(51, 100), "51-99")]
)
def test_step_numbers_are_shortened_to_ranges(steps: Sequence[int], text: str) -> None:
    assert step_ranges(steps) == text
