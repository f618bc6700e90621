"""The folder of hand-eye samples: pictures, and a line of JSON for each in `samples.jsonl`."""

import json
from pathlib import Path

import cv2
import numpy as np
from pydantic import ValidationError

from soft_flow_contract.durable_files import append_durably
from soft_flow_contract.errors import ContractError
from soft_flow_contract.pose import Pose
from soft_flow_contract.robot_cell import Placement
from soft_flow_contract.strict_model import describe
from soft_flow_perception.calibration.board_view import BoardDetector
from soft_flow_perception.calibration.charuco_board import Board
from soft_flow_perception.calibration.hand_eye_problem import HandEyeSample
from soft_flow_perception.calibration.picture_folder import read_picture

LIST = "samples.jsonl"


class SampleLine(Placement):
    """A line of the list: a picture, and the pose of the flange in the base frame (m; x y z w) then."""

    image: str  # file in the same folder
    camera: str = ""
    image_stamp_ns: int = 0
    pose_stamp_ns: int = 0


def store_sample(
    folder: Path,
    image: np.ndarray,
    flange_in_base: Pose,
    camera: str,
    image_stamp_ns: int = 0,
    pose_stamp_ns: int = 0,
) -> str:
    """Write an RGB picture (H, W, 3), then its line; returns the picture's name.

    Raises:
        ContractError: the folder cannot be written.
    """
    try:
        folder.mkdir(parents=True, exist_ok=True)
        number = 1 + max((int(p.stem) for p in folder.glob("*.png") if p.stem.isdigit()), default=-1)
        name = f"{number:04d}.png"
        if not cv2.imwrite(str(folder / name), image[:, :, ::-1]):
            raise ContractError(f"{folder / name}: the picture cannot be written")
        line = SampleLine(
            image=name,
            camera=camera,
            position=flange_in_base.position.tolist(),
            quaternion=flange_in_base.quaternion.tolist(),
            image_stamp_ns=image_stamp_ns,
            pose_stamp_ns=pose_stamp_ns,
        )
        append_durably(folder / LIST, line.model_dump_json())
    except OSError as error:
        raise ContractError(f"{folder}: cannot be written ({error.strerror})") from error
    return name


def read_lines(folder: Path) -> list[SampleLine]:
    """The list of a folder.

    Raises:
        ContractError: there is none, or a line is broken; names it.
    """
    path = folder / LIST
    try:
        texts = path.read_text(encoding="utf-8").splitlines()
    except OSError as error:
        raise ContractError(
            f"{path}: cannot be read ({error.strerror}); record with hand_eye_sampler_node"
        ) from error
    lines = []
    for number, text in enumerate(texts, 1):
        if not text.strip():
            continue
        try:
            lines.append(SampleLine.model_validate(json.loads(text)))
        except json.JSONDecodeError as error:
            raise ContractError(f"{path}:{number}: is no JSON: {error}") from error
        except ValidationError as error:
            raise ContractError(describe(error, SampleLine, f"{path}:{number}")) from error
    return lines


def read_samples(
    folder: Path, board: Board, camera: str, size: tuple[int, int]
) -> tuple[list[HandEyeSample], list[str]]:
    """All samples that show the board well enough, and the names of the other pictures.

    Args:
        folder: with pictures and list.
        board: what they show.
        camera: whose they must be, where their lines say so.
        size: width and height that they must have.

    Raises:
        ContractError: the list is broken, a picture is missing, of another camera or of another size.
    """
    detector = BoardDetector(board)
    samples, unusable = [], []
    for line in read_lines(folder):
        if line.camera not in ("", camera):
            raise ContractError(f"{folder / line.image}: is of camera '{line.camera}', not of '{camera}'")
        image = read_picture(folder / line.image)
        found = (image.shape[1], image.shape[0])
        if found != size:
            raise ContractError(
                f"{folder / line.image}: is of {found[0]}x{found[1]} pixels, the intrinsic calibration of "
                f"{size[0]}x{size[1]}"
            )
        view = detector.detect(image, line.image)
        if view.usable:
            pose = Pose(np.array(line.position), np.array(line.quaternion))
            samples.append(HandEyeSample(view, pose))
        else:
            unusable.append(line.image)
    return samples, unusable
