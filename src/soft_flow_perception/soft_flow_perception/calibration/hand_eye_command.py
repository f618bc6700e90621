"""`hand-eye`: find where a camera is mounted, from pictures of the board at known poses of the flange."""

import argparse
import time
from pathlib import Path

import numpy as np

from soft_flow_contract.errors import ContractError
from soft_flow_contract.robot_cell import CameraConfiguration, RobotCell
from soft_flow_perception.calibration.cell_placement import placement_text, to_placement, write_placement
from soft_flow_perception.calibration.charuco_board import load_board
from soft_flow_perception.calibration.hand_eye_picture import draw_hand_eye
from soft_flow_perception.calibration.hand_eye_problem import Parent
from soft_flow_perception.calibration.hand_eye_quality import (
    HandEyeCalibration,
    HandEyeRequirements,
    calibrate_hand_eye,
    faults,
)
from soft_flow_perception.calibration.hand_eye_samples import read_samples
from soft_flow_perception.calibration.refusal import CalibrationRefusedError
from soft_flow_perception.camera_info_file import calibration_of_camera


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the arguments."""
    parser.add_argument("--camera", required=True, metavar="NAME", help="its name in the cell")
    parser.add_argument(
        "--robot", type=Path, required=True, metavar="FILE",
        help="the cell; its `parent` of the camera says if it is on the flange (the board lies in the cell) "
        "or in the base frame (the board is on the flange)",
    )  # fmt: skip
    parser.add_argument(
        "--samples", type=Path, required=True, metavar="DIR", help="that hand_eye_sampler_node recorded"
    )
    parser.add_argument(
        "--board", type=Path, metavar="FILE", help="that `board` wrote (default: the usual one)"
    )
    parser.add_argument(
        "--output", type=Path, metavar="FILE", help="default: placement.yaml beside the samples"
    )
    parser.add_argument("--write", action="store_true", help="also put the placement into the cell's file")


def run(arguments: argparse.Namespace) -> int:
    """Calibrate and draw; write the placement only if it is good.

    Raises:
        ContractError: a file is missing or broken, or the cell cannot be changed safely.
        CalibrationRefusedError: the placement would be bad; its picture is written where there is one.
    """
    camera = RobotCell.load(arguments.robot).camera(arguments.camera)
    parent = _parent(camera)
    info = calibration_of_camera(camera, arguments.robot)
    if info is None:
        raise ContractError(
            f"camera '{camera.name}' has no intrinsic calibration yet; first: "
            f"./soft-flow calibrate intrinsics --camera {camera.name} --robot {arguments.robot}"
        )
    board, needs, folder = load_board(arguments.board), HandEyeRequirements(), arguments.samples
    output = arguments.output or folder / "placement.yaml"
    samples, unusable = read_samples(folder, board, camera.name, (camera.width, camera.height))
    print(f"{folder}: the board is seen in {len(samples)} samples", flush=True)
    if unusable:
        print(f"not used, for lack of corners: {', '.join(unusable)}")
    result = calibrate_hand_eye(samples, parent, info, needs)
    picture = output.with_suffix(".png")
    draw_hand_eye(result, board, folder, f"camera '{camera.name}' in the frame of the {parent}", picture)
    lines = summary(result, camera.name, parent)
    print("\n".join([*lines, f"{picture}: how well it fits"]))
    if reasons := faults(result, needs):
        raise CalibrationRefusedError(reasons)
    placement = to_placement(result.camera_in_parent)
    remarks = [f"soft-flow calibrate hand-eye, {time.strftime('%Y-%m-%d %H:%M')}", *lines]
    remarks.append(f"the line belongs to camera '{camera.name}' of the cell")
    text = "".join(f"# {line}\n" for line in remarks) + f"placement: {placement_text(placement)}\n"
    try:
        output.write_text(text, encoding="utf-8")
    except OSError as error:
        raise ContractError(f"{output}: cannot be written ({error.strerror})") from error
    print(f"{output}: written")
    if arguments.write:
        write_placement(arguments.robot, camera.name, placement)
        print(f"{arguments.robot}: placement of '{camera.name}' written")
    return 0


def _parent(camera: CameraConfiguration) -> Parent:
    if camera.parent == "flange":
        return "flange"
    if camera.parent == "base":
        return "base"
    raise ContractError(
        f"camera '{camera.name}' is mounted on '{camera.parent}'; hand-eye calibration knows flange and base"
    )


def summary(result: HandEyeCalibration, camera: str, parent: Parent) -> list[str]:
    """What came out, in a few lines."""
    methods = ", ".join(f"{name} {rms:.2f}" for name, rms in result.solution.method_rms.items())
    fit, left_out = np.sqrt(np.mean(result.fit**2, axis=0)), np.sqrt(np.mean(result.left_out**2, axis=0))
    rejected = ", ".join(sample.view.name for sample in result.rejected)
    x, y, z = result.camera_in_parent.position
    return [
        f"camera '{camera}' in the frame of the {parent}: {x:.4f} {y:.4f} {z:.4f} m, uncertain by "
        f"{result.deviation[0]:.2f} mm, {result.deviation[1]:.3f} degrees (one standard deviation)",
        f"{len(result.problem.samples)} samples" + (f", left out: {rejected}" if rejected else ""),
        f"each sample against its picture: {fit[0]:.2f} mm, {fit[1]:.3f} degrees RMS; left out in turn: "
        f"{left_out[0]:.2f} mm, {left_out[1]:.3f} degrees",
        f"reprojection: {result.rms:.2f} pixels RMS; the closed forms alone: {methods}",
    ]
