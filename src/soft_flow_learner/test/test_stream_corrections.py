"""Corrected labels: which one counts, and how they are read."""

from pathlib import Path

import pytest
from bag_maker import make_transitions, records, small_specification
from hypothesis import given
from hypothesis import strategies as st

from soft_flow_contract.errors import ContractError
from soft_flow_contract.learner_progress import LearnerProgress
from soft_flow_contract.message_conversion import encoded_step_from_bytes
from soft_flow_learner.errors import BagError
from soft_flow_learner.stream.label_corrections import LabelCorrection, LabelCorrections, load_corrections

# As the episode node writes it.
LINE = '{"stamp_ns":7,"episode_id":"a","outcome":"failure","source":"episode/label"}\n'


def correction(stamp_ns: int, outcome: str, episode_id: str = "a") -> LabelCorrection:
    return LabelCorrection(stamp_ns=stamp_ns, episode_id=episode_id, outcome=outcome)  # type: ignore[arg-type]


@given(st.lists(st.tuples(st.integers(0, 9), st.sampled_from(["success", "failure", "discard"])), min_size=1))
def test_the_newest_stamp_wins_in_any_order_and_of_equal_ones_the_last(given: list[tuple[int, str]]) -> None:
    corrections = LabelCorrections(correction(*item) for item in given)
    newest = max(stamp for stamp, _ in given)
    assert corrections.outcome_of("a", "x") == [label for stamp, label in given if stamp == newest][-1]


def test_an_episode_that_nobody_corrected_keeps_its_label() -> None:
    assert LabelCorrections([correction(1, "failure")]).outcome_of("b", "success") == "success"


def test_relabelling_changes_the_outcome_of_corrected_episodes_alone() -> None:
    specification = small_specification()
    steps = [
        encoded_step_from_bytes(data)
        for seed in (0, 1)
        for _, _, _, data in records(make_transitions(specification, 2, seed))
    ]
    corrections = LabelCorrections([correction(1, "failure", steps[0].episode_id)])
    assert [step.outcome for step in corrections.relabel(steps)] == ["failure"] * 3 + ["success"] * 3


def test_corrections_are_read_from_every_folder_that_holds_a_bag(tmp_path: Path) -> None:
    for name, stamp in (("one", 1), ("two", 2), ("three", 3)):
        (tmp_path / name).mkdir()
        line = LINE.replace("7", str(stamp)).replace('"a"', f'"{name}"')
        (tmp_path / name / "labels.jsonl").write_text(line)
    corrections = load_corrections(
        [tmp_path / "one" / "bag", tmp_path / "one" / "bag2", tmp_path / "two" / "bag"]
    )
    assert len(corrections) == 2 and corrections.of("three") is None
    found = corrections.of("two")
    assert found is not None and (found.stamp_ns, found.source) == (2, "episode/label")


def test_the_half_written_line_of_a_crash_does_not_count(tmp_path: Path) -> None:
    (tmp_path / "labels.jsonl").write_text(LINE + LINE[:30])
    assert load_corrections([tmp_path / "bag"]).outcome_of("a", "success") == "failure"


@pytest.mark.parametrize(
    ("line", "problem"),
    [
        ("nonsense", "line 2: top level: Invalid JSON"),
        (
            LINE.replace("failure", "fail").strip(),
            "line 2: outcome: Input should be 'success', 'failure' or 'discard'",
        ),
        (LINE.replace("stamp_ns", "stamp").strip(), "unknown key; did you mean 'stamp_ns'"),
    ],
)
def test_a_broken_line_is_refused_by_file_and_number(tmp_path: Path, line: str, problem: str) -> None:
    (tmp_path / "labels.jsonl").write_text(LINE + line + "\n")
    with pytest.raises(BagError, match=r"labels\.jsonl, line 2") as caught:
        load_corrections([tmp_path / "bag"])
    assert problem in str(caught.value)


def test_progress_survives_its_text_and_another_text_is_refused_by_field() -> None:
    progress = LearnerProgress(
        received=3, committed_episodes=1, dropped=0, episodes={"a": 3}, missing={"a": (1,)}, settled={}
    )
    assert LearnerProgress.from_json(progress.to_json()) == progress
    with pytest.raises(ContractError, match="learner/progress: received"):
        LearnerProgress.from_json(progress.to_json().replace('"received":3', '"received":-3'))
