"""Versions of published weights over the starts of a learner."""

from pathlib import Path

import pytest

from soft_flow_learner.errors import ResumeError
from soft_flow_learner.online.weights_versions import FILE_NAME, WeightsVersions


def published(folder: Path, *updates: int) -> list[int]:
    """Versions that one start of the learner publishes after so many updates each."""
    versions = WeightsVersions(folder)
    return [versions.publish(number) for number in updates]


def test_a_version_is_the_number_of_updates_as_long_as_nothing_is_lost(tmp_path: Path) -> None:
    assert published(tmp_path, 0, 5, 12) == [0, 5, 12]
    assert published(tmp_path, 12, 20) == [12, 20]  # what was published was saved
    assert published(tmp_path, 25) == [25]  # saved after it was published last


def test_after_updates_were_lost_versions_go_on_above_what_was_published(tmp_path: Path) -> None:
    assert published(tmp_path, 0, 50, 100) == [0, 50, 100]
    versions = WeightsVersions(tmp_path)
    assert [versions.publish(number) for number in (60, 100, 110)] == [101, 141, 151]
    assert "goes on after 60 updates, 40 fewer than were published" in versions.note
    assert "version 101 of run" in versions.note
    assert published(tmp_path, 0) == [152]  # no checkpoint was left at all


def test_a_start_that_was_killed_at_once_changes_nothing(tmp_path: Path) -> None:
    published(tmp_path, 100)
    assert published(tmp_path, 60) == [101]
    assert published(tmp_path, 60, 70) == [101, 111]


def test_a_run_keeps_its_name_and_another_run_in_the_same_place_has_another(tmp_path: Path) -> None:
    first = WeightsVersions(tmp_path)
    first.publish(3)
    again = WeightsVersions(tmp_path)
    assert again.run_id == first.run_id and str(tmp_path) in first.run_id
    assert (again.version, again.note) == (3, "")
    (tmp_path / FILE_NAME).unlink()
    assert WeightsVersions(tmp_path).run_id != first.run_id


def test_what_is_published_is_on_the_disk_before_it_goes_out(tmp_path: Path) -> None:
    versions = WeightsVersions(tmp_path / "run")
    version = versions.publish(7)
    assert WeightsVersions(tmp_path / "run").version == version == 7


def test_a_damaged_note_is_refused_with_what_to_do(tmp_path: Path) -> None:
    (tmp_path / FILE_NAME).write_text('{"run_id": "a", "version": -1, "updates": 3}')
    with pytest.raises(ResumeError, match=r"published\.json: version: .*; remove the file"):
        WeightsVersions(tmp_path)
