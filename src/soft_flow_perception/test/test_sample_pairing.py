"""Which picture and which pose make a hand-eye sample, and how a folder keeps them."""

from pathlib import Path

import numpy as np
import pytest
from board_scene import BOARD, SIZE, Renderer, board_pose

from soft_flow_contract.errors import ContractError
from soft_flow_contract.pose import Pose
from soft_flow_perception.calibration.hand_eye_samples import LIST, read_lines, read_samples, store_sample
from soft_flow_perception.calibration.sample_pairing import SamplePairing, SampleRefusedError

MS = 1_000_000
NOW = 10_000 * MS
IMAGE = np.zeros((4, 4, 3), np.uint8)
POSE = Pose(np.array([0.4, 0.1, 0.3]), np.array([1.0, 0.0, 0.0, 0.0]))


def pairing(picture_at: int = NOW - 100 * MS) -> SamplePairing:
    """An arm at rest for two seconds until now, and a picture."""
    pairs = SamplePairing()
    for stamp in range(NOW - 2000 * MS, NOW + 1, 10 * MS):
        pairs.add_pose(stamp, POSE)
    pairs.add_picture(picture_at, IMAGE)
    return pairs


def test_the_newest_picture_is_paired_with_the_pose_nearest_to_it() -> None:
    pair = pairing(NOW - 104 * MS).pair(NOW)
    assert (pair.image_stamp_ns, pair.pose_stamp_ns) == (NOW - 104 * MS, NOW - 100 * MS)
    assert pair.flange_in_base is POSE


def refusal(pairs: SamplePairing, now_ns: int = NOW) -> str:
    with pytest.raises(SampleRefusedError) as refused:
        pairs.pair(now_ns)
    return str(refused.value)


def test_without_picture_or_pose_there_is_no_pair() -> None:
    empty = SamplePairing()
    assert "no picture has come" in refusal(empty)
    empty.add_picture(NOW, IMAGE)
    assert "no pose of the arm has come" in refusal(empty)


def test_an_old_picture_is_refused() -> None:
    assert "is 0.9 s old (at most 0.5)" in refusal(pairing(), NOW + 800 * MS)


def test_stamps_that_are_apart_are_refused() -> None:
    assert "80 ms apart (at most 50)" in refusal(pairing(NOW + 80 * MS), NOW + 90 * MS)


@pytest.mark.parametrize(
    ("shift", "turn", "at_ms", "moves"),
    [
        (0.002, 0.0, -300, True),  # before the picture
        (0.0, 0.01, -300, True),
        (0.002, 0.0, 0, True),  # after the picture: the stamps may be a little off
        (0.0002, 0.0, -300, False),
        (0.002, 0.0, -900, False),  # long before
    ],
)
def test_an_arm_that_moves_is_refused(shift: float, turn: float, at_ms: int, moves: bool) -> None:
    pairs = SamplePairing()
    for stamp in range(NOW - 2000 * MS, NOW + 1, 10 * MS):
        moved = POSE.moved(np.array([shift, 0, 0]), np.array([0, turn, 0]))
        pairs.add_pose(stamp, moved if stamp == NOW + at_ms * MS else POSE)
    pairs.add_picture(NOW - 100 * MS, IMAGE)
    if moves:
        assert "the arm moved by" in refusal(pairs)
    else:
        assert pairs.pair(NOW).flange_in_base is POSE


def test_a_history_that_is_too_short_is_refused() -> None:
    pairs = SamplePairing()
    pairs.add_pose(NOW, POSE)
    pairs.add_picture(NOW, IMAGE)
    assert "poses are known for less than 0.5 s" in refusal(pairs)


def test_samples_are_stored_one_after_the_other_and_read_back(tmp_path: Path, renderer: Renderer) -> None:
    folder = tmp_path / "samples"
    seen = renderer.render(board_pose(0.5, 0.5, 0.4))
    assert store_sample(folder, seen, POSE, "wrist", 17, 18) == "0000.png"
    assert store_sample(folder, np.zeros_like(seen), POSE, "wrist") == "0001.png"
    first = read_lines(folder)[0]
    assert (first.image, first.camera, first.image_stamp_ns, first.pose_stamp_ns) == (
        "0000.png",
        "wrist",
        17,
        18,
    )
    samples, unusable = read_samples(folder, BOARD, "wrist", SIZE)
    assert len(samples) == 1 and unusable == ["0001.png"]
    np.testing.assert_allclose(samples[0].flange_in_base.position, POSE.position)
    np.testing.assert_allclose(samples[0].flange_in_base.quaternion, POSE.quaternion)


def test_a_line_needs_no_more_than_picture_and_pose(tmp_path: Path) -> None:
    (tmp_path / LIST).write_text('{"image": "a.png", "position": [1, 2, 3], "quaternion": [0, 0, 0, 1]}\n\n')
    assert read_lines(tmp_path)[0].position == (1, 2, 3)


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ('{"image": "a.png"}', r"samples.jsonl:1: position: Field required"),
        ('{"image": "a.png", "position": [1, 2, 3], "quaternion": [0, 0, 0, 2]}', "length 2.0000"),
        ('{"image": "a.png", "pose": 1, "position": [1, 2, 3]}', "pose: unknown key"),
        ("image", "is no JSON"),
    ],
)
def test_a_broken_list_is_refused_by_its_line(tmp_path: Path, text: str, says: str) -> None:
    (tmp_path / LIST).write_text(text + "\n")
    with pytest.raises(ContractError, match=says):
        read_lines(tmp_path)


def test_what_does_not_belong_to_the_calibration_is_refused(tmp_path: Path, renderer: Renderer) -> None:
    with pytest.raises(ContractError, match="record with hand_eye_sampler_node"):
        read_lines(tmp_path)
    store_sample(tmp_path, renderer.render(board_pose(0.5, 0.5, 0.4)), POSE, "wrist")
    with pytest.raises(ContractError, match="is of camera 'wrist', not of 'external'"):
        read_samples(tmp_path, BOARD, "external", SIZE)
    with pytest.raises(ContractError, match=r"640x480 pixels, the intrinsic calibration of 1280x720"):
        read_samples(tmp_path, BOARD, "wrist", (1280, 720))
    (tmp_path / "0000.png").unlink()
    with pytest.raises(ContractError, match="cannot be read as a picture"):
        read_samples(tmp_path, BOARD, "wrist", SIZE)
