"""Calibration files: ROS's own are read, broken ones are refused by what is wrong with them."""

from pathlib import Path

import numpy as np
import pytest
from cell_file import write_cell

from soft_flow_contract.errors import SpecificationError
from soft_flow_contract.robot_cell import RobotCell
from soft_flow_perception.camera_info_file import CameraInfo, calibration_of_camera

# As camera_calibration of ROS writes it.
FROM_ROS = """image_width: 640
image_height: 480
camera_name: narrow_stereo
camera_matrix:
  rows: 3
  cols: 3
  data: [600.5, 0., 319.5, 0., 601.25, 239.5, 0., 0., 1.]
distortion_model: plumb_bob
distortion_coefficients:
  rows: 1
  cols: 5
  data: [0.1, -0.2, 0.001, 0.002, 0]
rectification_matrix:
  rows: 3
  cols: 3
  data: [1, 0, 0, 0, 1, 0, 0, 0, 1]
projection_matrix:
  rows: 3
  cols: 4
  data: [590., 0., 320., 0., 0., 595., 240., 0., 0., 0., 1., 0.]
"""


def written(folder: Path, text: str) -> Path:
    path = folder / "camera.yaml"
    path.write_text(text, encoding="utf-8")
    return path


def test_a_file_of_ros_own_calibration_is_read(tmp_path: Path) -> None:
    info = CameraInfo.load(written(tmp_path, FROM_ROS))
    assert info.matrix[0, 0] == 600.5 and info.matrix[1, 2] == 239.5
    np.testing.assert_allclose(info.distortion, [0.1, -0.2, 0.001, 0.002, 0])


@pytest.mark.parametrize("coefficients", [5, 8])
def test_what_is_written_is_read_back_exactly(tmp_path: Path, coefficients: int) -> None:
    K = np.array([[601.123456789, 0, 319.5], [0, 602.2, 240.1], [0, 0, 1]])
    info = CameraInfo.calibrated("wrist", (640, 480), K, np.arange(coefficients) / 7, K * [[0.9], [0.9], [1]])
    path = tmp_path / "new" / "wrist.yaml"
    info.write(path, ["RMS 0.2 px", "today"])
    assert path.read_text().startswith("# RMS 0.2 px\n# today\nimage_width: 640\n")
    assert CameraInfo.load(path) == info


@pytest.mark.parametrize(
    ("old", "new", "says"),
    [
        ("image_width: 640\n", "", "image_width: Field required"),
        ("camera_matrix:", "camera_matrx:", "did you mean 'camera_matrix'"),
        ("0., 0., 1.]\ndist", "0., 0.]\ndist", "3 x 3 needs 9 numbers, got 8"),
        ("plumb_bob", "fisheye", "distortion_model"),
        ("plumb_bob", "rational_polynomial", "rational_polynomial has 8, got 5"),
        ("600.5", "-600.5", "must be positive"),
        ("600.5", ".nan", "finite"),
        ("image_width: 640", "image_width: [", "not valid YAML"),
        (FROM_ROS, "- 1\n", "expected a mapping"),
    ],
)
def test_a_broken_file_is_refused_by_what_is_wrong_with_it(
    tmp_path: Path, old: str, new: str, says: str
) -> None:
    with pytest.raises(SpecificationError) as refusal:
        CameraInfo.load(written(tmp_path, FROM_ROS.replace(old, new)))
    assert says in str(refusal.value) and "camera.yaml" in str(refusal.value)


def test_the_calibration_of_a_camera_is_found_beside_its_cell_or_not_at_all(tmp_path: Path) -> None:
    camera = {"name": "a", "driver": "images", "source": "x", "width": 640, "height": 480}
    cell_file = write_cell(tmp_path, {**camera, "calibration": "camera.yaml"}, {**camera, "name": "b"})
    cell = RobotCell.load(cell_file)
    assert calibration_of_camera(cell.camera("a"), cell_file) is None  # not calibrated yet
    assert calibration_of_camera(cell.camera("b"), cell_file) is None  # names none
    written(tmp_path, FROM_ROS)
    found = calibration_of_camera(cell.camera("a"), cell_file)
    assert found is not None and found.image_width == 640


def test_a_calibration_of_another_size_is_refused_by_both_sizes(tmp_path: Path) -> None:
    written(tmp_path, FROM_ROS)
    camera = {"name": "a", "driver": "images", "source": "x", "calibration": "camera.yaml"}
    cell_file = write_cell(tmp_path, {**camera, "width": 1280, "height": 720})
    with pytest.raises(SpecificationError, match=r"640x480.*1280x720"):
        calibration_of_camera(RobotCell.load(cell_file).camera("a"), cell_file)
