"""A placement goes into the cell's file, and all else in it stays as it was."""

from pathlib import Path

import numpy as np
import pytest
from cell_file import CELL

from soft_flow_contract.errors import ContractError
from soft_flow_contract.pose import Pose
from soft_flow_contract.robot_cell import Placement, RobotCell
from soft_flow_perception.calibration.cell_placement import (
    placement_text,
    to_placement,
    with_placement,
    write_placement,
)

PLACEMENT = Placement(position=(0.1, -0.2, 0.3), quaternion=(0.0, 0.6, 0.0, 0.8))
FLOW = """# the cell
cameras:    # named as in the task
  - {name: left, driver: v4l2, source: "0",   # a comment within
     parent: flange}
  - {name: right, driver: v4l2, source: "1", placement: {position: [0, 0, 1]}, fps: 15}  # the right one
workspace: 3  # after
"""
BLOCK = """cameras:
- driver: v4l2
  name: left    # why it is left
  source: "0"
- name: right
  placement:
    position: [0, 0, 1]
    quaternion:
    - 0
    - 0
    - 0
    - 1
  # a comment at the end
other: 1
"""


def lines_changed(before: str, after: str) -> list[str]:
    return [line for line in after.splitlines() if line not in before.splitlines()]


def test_a_flow_entry_gets_its_placement_and_keeps_its_comments() -> None:
    after = with_placement(FLOW, "left", PLACEMENT)
    assert lines_changed(FLOW, after) == [f"     parent: flange, placement: {placement_text(PLACEMENT)}}}"]
    assert "# a comment within" in after and "# the right one" in after


def test_a_placement_that_is_there_is_replaced() -> None:
    after = with_placement(FLOW, "right", PLACEMENT)
    assert lines_changed(FLOW, after) == [
        f'  - {{name: right, driver: v4l2, source: "1", placement: {placement_text(PLACEMENT)}, fps: 15}}'
        "  # the right one"
    ]
    assert with_placement(after, "right", PLACEMENT) == after


def test_a_block_entry_gets_a_line_behind_its_name() -> None:
    after = with_placement(BLOCK, "left", PLACEMENT)
    assert lines_changed(BLOCK, after) == [f"  placement: {placement_text(PLACEMENT)}"]
    assert "name: left    # why it is left\n  placement: {" in after


def test_a_placement_over_several_lines_is_replaced_and_the_comment_after_it_stays() -> None:
    after = with_placement(BLOCK, "right", PLACEMENT)
    assert "  # a comment at the end\nother: 1\n" in after and "- 1" not in after
    assert with_placement(after, "right", PLACEMENT) == after


@pytest.mark.parametrize("camera", ["wrist_palm", "wrist_back", "external"])
def test_in_the_projects_cell_only_the_camera_changes(tmp_path: Path, camera: str) -> None:
    path = tmp_path / "cell.yaml"
    before = CELL.read_text(encoding="utf-8")
    path.write_text(before, encoding="utf-8")
    write_placement(path, camera, PLACEMENT)
    cell = RobotCell.load(path)
    assert cell.camera(camera).placement == PLACEMENT
    assert len(lines_changed(before, path.read_text(encoding="utf-8"))) == 1
    write_placement(path, camera, Placement(position=(0, 0, 0)))  # and again
    assert RobotCell.load(path).camera(camera).placement == Placement(position=(0, 0, 0))
    assert path.read_text(encoding="utf-8").count("#") == before.count("#")


def test_a_text_that_cannot_be_changed_safely_stays_and_the_line_is_given(tmp_path: Path) -> None:
    path = tmp_path / "cell.yaml"
    # Both cameras are the same text: what is written to one would be the other's too.
    text = CELL.read_text(encoding="utf-8")
    start = text.index("cameras:")
    end = text.index("workspace:")
    shared = "cameras:\n  - &first {name: left, driver: v4l2, source: '0'}\n  - {<<: *first, name: right}\n\n"
    text = text[:start] + shared + text[end:]
    path.write_text(text, encoding="utf-8")
    with pytest.raises(ContractError, match=r"by hand, to camera 'left':\n    placement: \{position: \[0.1"):
        write_placement(path, "left", PLACEMENT)
    assert path.read_text(encoding="utf-8") == text
    write_placement(path, "right", PLACEMENT)  # this one is its own


def test_an_unknown_camera_is_refused() -> None:
    with pytest.raises(ContractError, match="no camera 'middle'"):
        with_placement(FLOW, "middle", PLACEMENT)


def test_a_pose_is_written_with_the_digits_that_mean_something() -> None:
    pose = Pose(np.array([0.123456789, -1e-9, 2.0]), -np.array([0.1, 0.2, 0.3, np.sqrt(0.86)]))
    placement = to_placement(pose)
    assert placement.position == (0.12346, 0.0, 2.0)
    assert placement.quaternion == (0.1, 0.2, 0.3, 0.927362)  # w is not negative
    assert Placement.model_validate(placement.model_dump()) == placement
