"""The latch on disk."""

import os
from pathlib import Path

import pytest

from soft_flow_episode.emergency_latch import EmergencyLatch, LatchError, default_latch_path


def test_a_latch_without_a_file_is_released_and_makes_its_folder(tmp_path: Path) -> None:
    path = tmp_path / "a" / "b" / "latch.json"
    assert not EmergencyLatch(path).engaged
    assert path.exists()


def test_an_engaged_latch_stays_engaged_with_its_reason_until_released(tmp_path: Path) -> None:
    path = tmp_path / "latch.json"
    EmergencyLatch(path).engage("the first reason")
    latch = EmergencyLatch(path)
    assert latch.engaged and latch.reason == "the first reason"
    latch.engage("a later one")
    assert EmergencyLatch(path).reason == "the first reason"
    latch.release()
    assert not EmergencyLatch(path).engaged


@pytest.mark.parametrize(
    "content", ["", "{", "[]", "null", '{"stopped": "no"}', '{"stopped": 0, "reason": ""}', "\x00\x00"]
)
def test_a_broken_latch_file_counts_as_stopped(tmp_path: Path, content: str) -> None:
    path = tmp_path / "latch.json"
    path.write_text(content)
    latch = EmergencyLatch(path)
    assert latch.engaged and "broken" in latch.reason
    assert EmergencyLatch(path).engaged, "and stays so"
    latch.release()
    assert not EmergencyLatch(path).engaged


def test_a_latch_file_that_is_not_text_counts_as_stopped(tmp_path: Path) -> None:
    path = tmp_path / "latch.json"
    path.write_bytes(b"\xff\xfe\x00broken")
    assert EmergencyLatch(path).engaged


def test_a_place_that_cannot_be_written_is_refused_at_the_start(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(LatchError, match="latch_file"):
        EmergencyLatch(tmp_path / "file" / "latch.json")


def test_a_stop_that_cannot_be_written_stops_all_the_same_and_says_so(tmp_path: Path) -> None:
    folder = tmp_path / "latch"
    latch = EmergencyLatch(folder / "latch.json")
    (folder / "latch.json").unlink()
    folder.rmdir()
    with pytest.raises(LatchError, match="stop is on"):
        latch.engage("test")
    assert latch.engaged
    with pytest.raises(LatchError, match="stays on"):
        latch.release()
    assert latch.engaged


def test_nothing_is_left_beside_the_latch(tmp_path: Path) -> None:
    EmergencyLatch(tmp_path / "latch.json").engage("test")
    assert os.listdir(tmp_path) == ["latch.json"]


def test_the_default_place_is_in_the_users_ros_folder(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ROS_HOME", "/somewhere")
    assert default_latch_path() == Path("/somewhere/soft_flow/emergency_stop.json")
    monkeypatch.delenv("ROS_HOME")
    assert default_latch_path() == Path.home() / ".ros/soft_flow/emergency_stop.json"
