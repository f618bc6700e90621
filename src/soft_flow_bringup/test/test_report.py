import json
import re
import struct
from collections.abc import Callable
from pathlib import Path

import pytest

from soft_flow_bringup.report.contact_sheet import telling_tick
from soft_flow_bringup.report.episode_log import RunDataError, read_episode_log, stage_rate
from soft_flow_bringup.report.page import SECTIONS, write_report
from soft_flow_bringup.report.picture_sections import pick
from soft_flow_bringup.report.run_folder import PHASES, Phase, RunFolder
from soft_flow_contract.task_specification import TaskSpecification

ALL = PHASES
MakeRun = Callable[..., Path]


def test_a_whole_run_fills_every_section(make_run: MakeRun, specification: TaskSpecification) -> None:
    text = write_report(make_run(*ALL), specification).read_text()
    assert "Not run." not in text
    for title in SECTIONS:
        assert f"<h2>{title}</h2>" in text
    assert text.count("<video") == 2
    assert "2 of 6" in text and "Wilson" in text


def test_the_page_needs_no_other_file(make_run: MakeRun, specification: TaskSpecification) -> None:
    text = write_report(make_run(*ALL), specification).read_text()
    sources = re.findall(r'(?:src|href)="([^"]+)"', text)
    assert [s for s in sources if not s.startswith(("data:", "#"))] == []
    assert "@import" not in text and "<link" not in text


def test_the_videos_are_mp4_that_can_start_before_they_end(
    make_run: MakeRun, specification: TaskSpecification
) -> None:
    import base64

    text = write_report(make_run(*ALL), specification).read_text()
    for data in re.findall(r'src="data:video/mp4;base64,([^"]+)"', text):
        video = base64.b64decode(data)
        assert video[4:8] == b"ftyp"
        first = struct.unpack(">I", video[:4])[0]
        assert video.index(b"moov") < video.index(b"mdat") and first < len(video)


@pytest.mark.parametrize("count", [0, 1, 2, 3, 5, 6])
def test_phases_that_were_not_run_say_so_and_leave_the_others(
    make_run: MakeRun, specification: TaskSpecification, count: int
) -> None:
    text = write_report(make_run(*ALL[:count]), specification).read_text()
    assert "Not run." in text
    assert "was interrupted before the realtime began" in text
    assert "Configuration and versions" in text


def test_the_reason_of_a_failed_phase_is_shown(make_run: MakeRun, specification: TaskSpecification) -> None:
    root = make_run("demonstrations")
    folder = RunFolder(root)
    state = folder.read_state()
    assert state is not None
    folder.write_state(state.with_phase("training", Phase("failed", 3.0, "The dog ate the weights.")))
    assert "The dog ate the weights." in write_report(root, specification).read_text()


def test_a_damaged_bag_costs_its_section_only(make_run: MakeRun, specification: TaskSpecification) -> None:
    root = make_run(*ALL)
    for path in (root / "online_rollouts").glob("*/*.mcap"):
        path.write_bytes(path.read_bytes()[:200])
    text = write_report(root, specification).read_text()
    assert "It could not be made" in text
    assert "How often it works" in text and "<svg" in text


def test_a_folder_that_is_no_run_is_refused(tmp_path: Path, specification: TaskSpecification) -> None:
    with pytest.raises(RunDataError, match="not the folder of a run"):
        write_report(tmp_path, specification)


def test_discarded_episodes_are_no_trials(tmp_path: Path) -> None:
    lines = [
        {"id": "a", "seed": 1, "outcome": "success", "flags": {"grasped": True}},
        {"id": "b", "seed": 2, "outcome": "discard", "flags": {"grasped": True}, "reason": "stalled"},
        {"id": "c", "seed": 3, "outcome": "failure", "flags": {"grasped": False}},
    ]
    (tmp_path / "episodes.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines))
    rate = stage_rate(read_episode_log(tmp_path), "grasped")
    assert (rate.successes, rate.trials) == (1, 2)


def correct(folder: Path, *lines: dict[str, object]) -> None:
    (folder / "labels.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines))


def test_corrected_labels_count_and_the_recorded_ones_are_still_told(tmp_path: Path) -> None:
    flags = {"grasped": True, "cut": True}
    lines = [{"id": name, "seed": 1, "outcome": "success", "flags": flags} for name in "abc"]
    lines[2] |= {"outcome": "failure", "recorded_outcome": "success"}  # as the episode node keeps it
    (tmp_path / "episodes.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines))
    earlier = {"stamp_ns": 1, "episode_id": "a", "outcome": "discard", "source": "x"}
    correct(
        tmp_path, earlier, {**earlier, "stamp_ns": 2, "outcome": "failure"}, {**earlier, "episode_id": "b"}
    )
    first, second, third = read_episode_log(tmp_path, success_flag="cut")
    assert (first.outcome, first.recorded_outcome, first.corrected_by) == ("failure", "success", "x")
    assert (third.outcome, third.recorded_outcome) == ("failure", "success") and not third.reached("cut")
    assert first.reached("grasped") and not first.reached("cut") and not second.counted
    assert stage_rate([first, second], "cut").trials == 1
    correct(tmp_path, {**earlier, "outcome": "maybe"})
    with pytest.raises(RunDataError, match=r"labels\.jsonl, line 1"):
        read_episode_log(tmp_path)


def test_the_report_shows_corrected_labels_beside_the_recorded_ones(
    make_run: MakeRun, specification: TaskSpecification
) -> None:
    root = make_run("demonstrations", "online_rollouts")
    record = read_episode_log(root / "online_rollouts")[0]
    correction = {"stamp_ns": 1, "episode_id": record.episode_id, "outcome": "failure", "source": "x"}
    correct(root / "online_rollouts", correction)
    text = " ".join(write_report(root, specification).read_text().split())
    assert f"policy after online RL, seed {record.seed}, from success to failure" in text
    assert '<th scope="row">cut, online RL</th><td>1</td><td>6</td>' in text


def test_a_half_written_last_line_is_dropped_and_a_broken_one_is_named(tmp_path: Path) -> None:
    good = json.dumps({"id": "a", "seed": 1, "outcome": "success"})
    path = tmp_path / "episodes.jsonl"
    path.write_text(good + "\n" + good[:20])
    assert len(read_episode_log(tmp_path)) == 1
    path.write_text(good[:20] + "\n" + good + "\n")
    with pytest.raises(RunDataError, match="line 1: not an episode"):
        read_episode_log(tmp_path)


def test_the_most_telling_episodes_are_picked(make_run: MakeRun, specification: TaskSpecification) -> None:
    records = read_episode_log(make_run("online_rollouts") / "online_rollouts")
    stages = specification.episode.flags
    success, failure = pick(records, "success", stages), pick(records, "failure", stages)
    assert success is not None and failure is not None
    assert success.steps == min(r.steps for r in records if r.outcome == "success")
    assert failure.reached("grasped") and not failure.reached("cut")
    assert pick([], "success", stages) is None


def test_the_telling_tick_is_where_the_furthest_stage_began() -> None:
    assert telling_tick([(), ("grasped",), ("grasped",), ("grasped", "cut"), ("grasped", "cut")]) == 3
    assert telling_tick([(), (), ()]) == 2
