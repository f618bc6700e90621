"""Views from a live picture: what is kept, what is said about the rest, and when it is enough."""

import dataclasses
from collections.abc import Iterator
from pathlib import Path

import cv2
import numpy as np
import pytest
from board_scene import BOARD, SIZE, Renderer, board_pose, many_poses, project, project_all
from cell_file import picture
from scripted_source import LOST, ScriptedSource

from soft_flow_contract.robot_cell import CameraConfiguration
from soft_flow_perception.calibration.intrinsics import Requirements
from soft_flow_perception.calibration.live_views import collect_views, frames, progress_text
from soft_flow_perception.calibration.picture_folder import views_of_folder
from soft_flow_perception.calibration.view_choice import ViewChoice
from soft_flow_perception.camera_sources.camera_source import CameraError, RecordingEndedError

SHARP = 2.0
CAMERA = CameraConfiguration(name="wrist", driver="v4l2", source="0", width=64, height=48, fps=100.0)


def test_a_view_is_kept_when_the_board_is_sharp_still_and_somewhere_new() -> None:
    choice = ViewChoice(BOARD, SIZE)
    first, moved, tilted = project_all(
        [board_pose(0.5, 0.5, 0.4), board_pose(0.3, 0.5, 0.4), board_pose(0.3, 0.5, 0.4, 25)]
    )
    assert choice.offer(first, SHARP) == "hold still"  # nothing to compare with yet
    assert choice.offer(first, 6.0).startswith("not sharp (an edge takes 6.0 pixels)")
    assert choice.offer(first, SHARP) == ""
    assert choice.offer(first, SHARP) == "seen already: move or tilt the board"
    assert choice.offer(moved, SHARP) == "hold still"
    assert choice.offer(moved, SHARP) == ""
    choice.offer(tilted, SHARP)
    assert choice.offer(tilted, SHARP) == ""  # the same place, tilted, is new
    few = dataclasses.replace(first, ids=first.ids[:5], corners=first.corners[:5], points=first.points[:5])
    assert choice.offer(few, SHARP) == "5 corners seen: show more of the board"
    assert len(choice.kept) == 3


def test_a_part_of_the_board_counts_by_where_all_of_it_would_be() -> None:
    choice, view = ViewChoice(BOARD, SIZE), project(board_pose(0.5, 0.5, 0.4))
    half = dataclasses.replace(view, ids=view.ids[:27], corners=view.corners[:27], points=view.points[:27])
    choice.offer(view, SHARP)
    choice.offer(view, SHARP)
    choice.offer(half, SHARP)
    assert choice.offer(half, SHARP).startswith("seen already")


def held(renderer: Renderer, count: int) -> Iterator[np.ndarray]:
    """A person who holds the board still, each time for two pictures."""
    for seed, pose in enumerate(many_poses(count)):
        yield renderer.render(pose, seed=2 * seed)
        yield renderer.render(pose, seed=2 * seed + 1)


def test_views_are_collected_until_they_are_enough_and_their_pictures_are_kept(
    tmp_path: Path, renderer: Renderer
) -> None:
    needs, said = Requirements(views=4, coverage=0.4), []
    views = collect_views(
        held(renderer, 20), BOARD, SIZE, needs, 5, tmp_path, lambda choice, why: said.append(why)
    )
    assert 5 <= len(views) < 20  # it stopped by itself
    again, unusable, size = views_of_folder(tmp_path, BOARD)
    assert [view.name for view in again] == [view.name for view in views] and not unusable and size == SIZE
    for first, second in zip(views, again, strict=True):
        np.testing.assert_allclose(first.corners, second.corners)
    assert said.count("") == len(views)


def test_ctrl_c_means_enough(tmp_path: Path, renderer: Renderer) -> None:
    def interrupted() -> Iterator[np.ndarray]:
        yield from held(renderer, 2)
        raise KeyboardInterrupt

    views = collect_views(interrupted(), BOARD, SIZE, Requirements(), 25, tmp_path, lambda choice, why: None)
    assert len(views) == 2


def test_progress_shows_the_picture_and_what_to_do_next() -> None:
    choice = ViewChoice(BOARD, SIZE)
    view = project(board_pose(0.15, 0.5, 0.3))
    choice.offer(view, SHARP)
    choice.offer(view, SHARP)
    text = progress_text(choice, "hold still", 25)
    assert "1 of 25 views" in text and text.endswith("hold still") and "▒" in text
    assert "still empty:" in text and "top right" in text


def test_pictures_come_from_a_source_until_it_ends() -> None:
    source = ScriptedSource()
    seen = frames(CAMERA, source)
    source.put(picture(3))
    np.testing.assert_array_equal(next(seen), picture(3))
    source.put(RecordingEndedError("over"))
    assert list(seen) == [] and source.calls == ["open", "close"]


def test_a_camera_that_cannot_be_opened_ends_the_collection_with_its_reason() -> None:
    source = ScriptedSource()
    source.opening_error = CameraError("no such device")
    with pytest.raises(CameraError, match="no such device"):
        next(frames(CAMERA, source))


def test_a_camera_that_is_lost_for_too_long_ends_the_collection() -> None:
    source = ScriptedSource()
    seen = frames(CAMERA, source, patience=0.05)
    source.put(picture(0))
    next(seen)
    source.opening_error = LOST
    source.put(LOST)
    with pytest.raises(CameraError, match="the cable is out"):
        next(seen)


def test_pictures_of_different_sizes_are_refused(tmp_path: Path) -> None:
    cv2.imwrite(str(tmp_path / "a.png"), np.zeros((48, 64, 3), np.uint8))
    cv2.imwrite(str(tmp_path / "b.png"), np.zeros((50, 64, 3), np.uint8))
    with pytest.raises(ValueError, match=r"b.png: is of 64x50 pixels, the pictures before it of 64x48"):
        views_of_folder(tmp_path, BOARD)
