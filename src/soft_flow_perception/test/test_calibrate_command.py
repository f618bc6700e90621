"""The tool from its command line: calibrations and pictures of them come out, or the reasons why not."""

from pathlib import Path

import cv2
import numpy as np
import pytest
import yaml
from board_scene import DISTORTION, SIZE, K, Renderer, board_pose, info, many_poses
from cell_file import write_cell
from hand_eye_scene import CAMERA, flange_in_base

from soft_flow_contract.robot_cell import RobotCell
from soft_flow_perception.calibration.command import COMMANDS, main
from soft_flow_perception.calibration.hand_eye_problem import Parent
from soft_flow_perception.calibration.hand_eye_samples import store_sample
from soft_flow_perception.calibration.rigid_transform import to_pose
from soft_flow_perception.camera_info_file import CameraInfo


@pytest.fixture(scope="module")
def pictures(tmp_path_factory: pytest.TempPathFactory, renderer: Renderer) -> Path:
    """Sixteen pictures of the board, and one without it."""
    folder = tmp_path_factory.mktemp("pictures")
    for number, pose in enumerate(many_poses(16)):
        cv2.imwrite(str(folder / f"{number:02d}.png"), renderer.render(pose, seed=number))
    cv2.imwrite(str(folder / "empty.png"), np.full((SIZE[1], SIZE[0], 3), 90, np.uint8))
    return folder


def cell(folder: Path, parent: Parent = "flange") -> Path:
    camera = {
        "name": "wrist",
        "driver": "images",
        "source": "live",
        "width": SIZE[0],
        "height": SIZE[1],
        "fps": 20.0,
    }
    return write_cell(folder, {**camera, "parent": parent, "calibration": "cameras/wrist.yaml"})


@pytest.mark.parametrize("part", COMMANDS)
def test_every_part_has_its_help(part: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as end:
        main([part, "-h"])
    assert end.value.code == 0 and f"soft-flow calibrate {part}" in capsys.readouterr().out


def test_a_board_is_drawn_with_its_parameters(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["board", "--output", str(tmp_path / "board.png"), "--squares", "5x7"]) == 0
    assert yaml.safe_load((tmp_path / "board.yaml").read_text())["squares_y"] == 7
    assert "ChArUco 5 x 7, square 25 mm" in capsys.readouterr().out
    assert main(["board", "--output", str(tmp_path / "board.png"), "--squares", "five"]) == 1
    assert "squares_x" in capsys.readouterr().err


def test_intrinsics_from_pictures_go_where_the_cell_looks_for_them(
    tmp_path: Path, pictures: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    arguments = ["--camera", "wrist", "--robot", str(cell(tmp_path)), "--images", str(pictures)]
    assert main(["intrinsics", *arguments]) == 0
    output = tmp_path / "cameras" / "wrist.yaml"
    found = CameraInfo.load(output)
    np.testing.assert_allclose(found.matrix, K, atol=0.8)
    np.testing.assert_allclose(found.distortion, DISTORTION, atol=0.01)
    assert (found.image_width, found.image_height, found.camera_name) == (*SIZE, "wrist")
    assert "pixels RMS" in output.read_text() and output.with_suffix(".png").is_file()
    said = capsys.readouterr().out
    assert "not used, for lack of corners: empty.png" in said and "16 pictures" in said


def test_a_reprojection_error_above_the_limit_is_refused_but_drawn(
    tmp_path: Path, pictures: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    output = tmp_path / "out.yaml"
    options = ["--camera", "x", "--images", str(pictures), "--output", str(output), "--max-error", "0.01"]
    assert main(["intrinsics", *options]) == 1
    assert "reprojection error" in capsys.readouterr().err
    assert not output.exists() and output.with_suffix(".png").is_file()


def test_too_few_pictures_are_refused_but_drawn(
    tmp_path: Path, renderer: Renderer, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "few").mkdir()
    for number in range(2):
        picture = renderer.render(board_pose(0.3, 0.5, 0.4, 10 * number))
        cv2.imwrite(str(tmp_path / "few" / f"{number}.png"), picture)
    output = tmp_path / "out.yaml"
    options = ["--camera", "x", "--images", str(tmp_path / "few"), "--output", str(output)]
    assert main(["intrinsics", *options]) == 1
    text = capsys.readouterr().err
    assert "2 usable views, at least 15 are needed" in text and "show the board at:" in text
    assert not output.exists() and output.with_suffix(".png").is_file()


def test_live_pictures_are_kept_for_another_attempt(
    tmp_path: Path, renderer: Renderer, capsys: pytest.CaptureFixture[str]
) -> None:
    robot, live = cell(tmp_path), tmp_path / "live"
    live.mkdir()
    for number in range(20):  # one pose, held
        picture = renderer.render(board_pose(0.5, 0.5, 0.35), seed=number)
        cv2.imwrite(str(live / f"{number:02d}.png"), picture)
    assert main(["intrinsics", "--camera", "wrist", "--robot", str(robot)]) == 1
    kept = tmp_path / "cameras" / "wrist_pictures"
    assert len(list(kept.iterdir())) == 1
    said = capsys.readouterr()
    assert "1 usable views" in said.err and "1 of 25 views" in said.out
    assert main(["intrinsics", "--camera", "wrist", "--robot", str(robot)]) == 1
    assert "has pictures already" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("options", "says"),
    [
        ([], "give --robot for the live camera, or --images"),
        (["--images", "nowhere"], "where to? give --output"),
        (["--images", "nowhere", "--output", "x.yaml"], "nowhere: there is no such folder"),
        (["--robot", "nowhere.yaml"], "nowhere.yaml: cannot be read"),
    ],
)
def test_what_is_missing_is_named(options: list[str], says: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["intrinsics", "--camera", "wrist", *options]) == 1
    assert says in capsys.readouterr().err


def record(folder: Path, parent: Parent, renderer: Renderer, count: int = 12) -> Path:
    for seed, pose in enumerate(many_poses(count, seed=3)):
        picture = renderer.render(pose, seed=seed)
        store_sample(folder, picture, flange_in_base(parent, pose), "wrist")
    return folder


@pytest.mark.parametrize("parent", ["flange", "base"])
def test_hand_eye_finds_the_mounting_and_writes_it_into_the_cell(
    tmp_path: Path, renderer: Renderer, parent: Parent, capsys: pytest.CaptureFixture[str]
) -> None:
    robot = cell(tmp_path, parent)
    info().write(tmp_path / "cameras" / "wrist.yaml", [])
    samples = record(tmp_path / "samples", parent, renderer)
    options = ["--camera", "wrist", "--robot", str(robot), "--samples", str(samples), "--write"]
    assert main(["hand-eye", *options]) == 0
    placement = RobotCell.load(robot).camera("wrist").placement
    assert placement is not None
    truth = to_pose(CAMERA[parent])
    np.testing.assert_allclose(placement.position, truth.position, atol=5e-4)
    sign = np.sign(truth.quaternion[3])
    np.testing.assert_allclose(placement.quaternion, sign * truth.quaternion, atol=2e-3)
    snippet = yaml.safe_load((samples / "placement.yaml").read_text())
    assert tuple(snippet["placement"]["position"]) == placement.position
    drawn = cv2.imread(str(samples / "placement.png"))
    assert drawn is not None and drawn.std() > 5
    said = capsys.readouterr().out
    assert "left out in turn:" in said and f"in the frame of the {parent}" in said and "park" in said


def test_hand_eye_asks_for_the_intrinsics_first(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    options = ["--camera", "wrist", "--robot", str(cell(tmp_path)), "--samples", str(tmp_path)]
    assert main(["hand-eye", *options]) == 1
    assert "./soft-flow calibrate intrinsics --camera wrist" in capsys.readouterr().err


def test_hand_eye_refuses_too_few_samples_and_writes_nothing(
    tmp_path: Path, renderer: Renderer, capsys: pytest.CaptureFixture[str]
) -> None:
    robot = cell(tmp_path)
    before = robot.read_text()
    info().write(tmp_path / "cameras" / "wrist.yaml", [])
    samples = record(tmp_path / "samples", "flange", renderer, count=3)
    options = ["--camera", "wrist", "--robot", str(robot), "--samples", str(samples), "--write"]
    assert main(["hand-eye", *options]) == 1
    assert "3 usable samples, at least 10" in capsys.readouterr().err
    assert robot.read_text() == before and not (samples / "placement.yaml").exists()
