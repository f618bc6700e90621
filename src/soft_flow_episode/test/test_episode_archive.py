"""The output folder: what is continued, repaired and refused."""

import json
from pathlib import Path

import pytest

from soft_flow_episode.bag_writer import BagWriter, bag_name
from soft_flow_episode.episode_archive import EpisodeArchive
from soft_flow_episode.episode_plan import EpisodeLine, EpisodePlan, OutputError, append_line, read_lines


@pytest.fixture
def writer(tmp_path: Path, message_folder: Path) -> BagWriter:
    return BagWriter(tmp_path, message_folder, "/transitions", 2000)


def line(seed: int, outcome: str = "success") -> EpisodeLine:
    return EpisodeLine(id=f"{seed:08x}-uuid", seed=seed, outcome=outcome, flags={"cut": True}, steps=3)


def plan(episodes: int = 10, first_seed: int = 0, max_invalid: int = 3) -> EpisodePlan:
    return EpisodePlan(episodes, first_seed, max_invalid)


def test_seeds_go_up_from_the_first_one() -> None:
    fresh = plan(first_seed=5)
    assert [fresh.take_seed() for _ in range(3)] == [5, 6, 7]


def test_invalid_episodes_are_not_counted_and_too_many_of_them_end_the_run() -> None:
    target = plan(episodes=3)
    for outcome in ("success", "discard", "failure", "discard"):
        target.finish(outcome)
    assert (target.valid, target.invalid, target.done, target.failed) == (2, 2, False, "")
    target.finish("discard")
    assert "3 invalid episodes (limit 3), 2 of 3 recorded" in target.failed


def test_an_output_folder_is_continued_after_its_seeds(tmp_path: Path, writer: BagWriter) -> None:
    first = EpisodeArchive(tmp_path, writer, plan(first_seed=4))
    first.keep(line(4), [(50, b"\0\1\0\0")], {})
    first.drop(line(5, "discard"))
    first.keep(line(6, "failure"), [(50, b"\0\1\0\0")], {})
    continued = plan(first_seed=4)
    archive = EpisodeArchive(tmp_path, writer, continued)
    assert (continued.valid, continued.invalid, continued.take_seed()) == (2, 0, 7)
    assert "continuing with seed 7 to 10 in all" in archive.notes[0]


def test_a_higher_first_seed_is_kept(tmp_path: Path) -> None:
    EpisodeArchive(tmp_path, None, plan()).keep(line(4), [], {})
    target = plan(first_seed=100)
    EpisodeArchive(tmp_path, None, target)
    assert target.take_seed() == 100


def test_the_half_written_line_of_a_crash_is_cut_off(tmp_path: Path) -> None:
    append_line(tmp_path, line(0))
    with (tmp_path / "episodes.jsonl").open("a") as file:
        file.write('{"id": "half')
    assert [entry["seed"] for entry in read_lines(tmp_path)] == [0]
    append_line(tmp_path, line(1))
    assert [entry["seed"] for entry in read_lines(tmp_path)] == [0, 1]


def test_another_broken_line_is_refused_by_number(tmp_path: Path) -> None:
    (tmp_path / "episodes.jsonl").write_text("nonsense\n")
    with pytest.raises(OutputError, match=r"episodes\.jsonl, line 1"):
        EpisodeArchive(tmp_path, None, plan())


def test_a_bag_whose_line_was_lost_in_a_crash_gets_it_back(tmp_path: Path, writer: BagWriter) -> None:
    EpisodeArchive(tmp_path, writer, plan()).keep(line(8), [(50, b"\0\1\0\0")], {})
    before = read_lines(tmp_path)
    (tmp_path / "episodes.jsonl").unlink()
    target = plan()
    archive = EpisodeArchive(tmp_path, writer, target)
    assert read_lines(tmp_path) == before
    assert target.valid == 1 and target.take_seed() == 9
    assert "restored" in archive.notes[0]


def test_an_unfinished_recording_is_reported_and_left_alone(tmp_path: Path) -> None:
    leftover = tmp_path / ".recording" / bag_name(3, "abcdef00")
    leftover.mkdir(parents=True)
    archive = EpisodeArchive(tmp_path, None, plan())
    assert str(leftover) in archive.notes[0] and "interrupted" in archive.notes[0]
    assert leftover.exists()


def test_an_output_that_is_a_file_is_refused(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(OutputError, match="cannot be made"):
        EpisodeArchive(tmp_path / "file", None, plan())


def test_a_foreign_bag_of_the_same_name_pattern_is_refused(tmp_path: Path, writer: BagWriter) -> None:
    writer.write(bag_name(0, "abcdef00"), [(50, b"\0\1\0\0")], {})
    with pytest.raises(OutputError, match="another output folder"):
        EpisodeArchive(tmp_path, writer, plan())


def test_the_line_of_a_kept_episode_names_its_bag(tmp_path: Path, writer: BagWriter) -> None:
    archive = EpisodeArchive(tmp_path, writer, plan())
    kept = archive.keep(line(2), [(50, b"\0\1\0\0")], {})
    assert kept.bag == "seed-000002-00000002"
    assert Path(archive.bag_path(kept)).is_dir()
    assert json.loads((tmp_path / "episodes.jsonl").read_text())["bag"] == kept.bag


def test_a_corrected_label_is_a_line_beside_the_bags_which_stay_as_they_are(
    tmp_path: Path, writer: BagWriter
) -> None:
    archive = EpisodeArchive(tmp_path, writer, plan())
    kept = archive.keep(line(2), [(50, b"\0\1\0\0")], {})
    bag = {path.name: path.read_bytes() for path in Path(archive.bag_path(kept)).iterdir()}
    corrected = archive.relabel(kept.id, "failure", "episode/label", 7)
    text = '{"stamp_ns":7,"episode_id":"00000002-uuid","outcome":"failure","source":"episode/label"}'
    assert corrected.to_json() == text and (tmp_path / "labels.jsonl").read_text() == text + "\n"
    assert {path.name: path.read_bytes() for path in Path(archive.bag_path(kept)).iterdir()} == bag


def outcomes(folder: Path) -> list[tuple[str, str | None]]:
    return [(entry["outcome"], entry["recorded_outcome"]) for entry in read_lines(folder)]


def test_the_log_says_the_corrected_label_and_still_the_recorded_one(tmp_path: Path) -> None:
    archive = EpisodeArchive(tmp_path, None, plan())
    archive.keep(line(2), [], {})
    archive.keep(line(3, "failure"), [], {})
    archive.relabel(line(2).id, "failure", "x", 7)
    assert outcomes(tmp_path) == [("failure", "success"), ("failure", None)]
    archive.relabel(line(2).id, "discard", "x", 8)
    archive.relabel(line(2).id, "success", "x", 9)  # what was recorded decides what can be corrected
    assert outcomes(tmp_path) == [("success", "success"), ("failure", None)]


def test_a_log_that_a_crash_left_behind_its_corrections_follows_when_it_is_opened(tmp_path: Path) -> None:
    archive = EpisodeArchive(tmp_path, None, plan())
    archive.keep(line(2), [], {})
    log = (tmp_path / "episodes.jsonl").read_bytes()
    archive.relabel(line(2).id, "failure", "x", 7)
    (tmp_path / "episodes.jsonl").write_bytes(log)
    EpisodeArchive(tmp_path, None, plan())
    assert outcomes(tmp_path) == [("failure", "success")]


def test_an_episode_that_was_corrected_to_discard_is_not_recorded_anew(tmp_path: Path) -> None:
    archive = EpisodeArchive(tmp_path, None, plan())
    archive.keep(line(2), [], {})
    archive.relabel(line(2).id, "discard", "x", 7)
    continued = plan()
    EpisodeArchive(tmp_path, None, continued)
    assert continued.valid == 1


def test_a_later_correction_has_a_later_stamp_though_the_clock_was_set_back(tmp_path: Path) -> None:
    archive = EpisodeArchive(tmp_path, None, plan())
    kept = archive.keep(line(2), [], {})
    archive.relabel(kept.id, "failure", "x", 7)
    with (tmp_path / "labels.jsonl").open("a") as file:
        file.write('{"half')
    continued = EpisodeArchive(tmp_path, None, plan())
    assert continued.relabel(kept.id, "success", "x", 3).stamp_ns == 8
    assert [entry["stamp_ns"] for entry in read_lines(tmp_path, "labels.jsonl")] == [7, 8]


@pytest.mark.parametrize(
    ("identifier", "outcome", "problem"),
    [
        ("nobody", "success", "episode nobody is not finished or not there in"),
        ("00000003-uuid", "success", "was discarded and is not kept"),
        ("00000002-uuid", "good", "unknown outcome 'good'; expected one of success, failure, discard"),
    ],
)
def test_a_correction_that_cannot_be_is_refused_and_written_nowhere(
    tmp_path: Path, identifier: str, outcome: str, problem: str
) -> None:
    archive = EpisodeArchive(tmp_path, None, plan())
    archive.keep(line(2), [], {})
    archive.drop(line(3, "discard"))
    with pytest.raises(OutputError, match=problem):
        archive.relabel(identifier, outcome, "x", 7)
    assert not (tmp_path / "labels.jsonl").exists()
