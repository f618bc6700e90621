"""Draws an episode of the scripted operator as one picture: ``python -m soft_flow_sim.scene_picture``."""

import argparse
from pathlib import Path

import cv2
import mujoco
import numpy as np
from numpy.typing import NDArray

from soft_flow_contract.task_specification import TaskSpecification
from soft_flow_sim.offscreen_renderer import OffscreenRenderer
from soft_flow_sim.scissors_environment import ScissorsEnvironment, find_task_file
from soft_flow_sim.scissors_operator import ScissorsOperator

_MOMENTS = ("slide", "close", "lift", "carry", "insert", "squeeze")


def _view() -> mujoco.MjvCamera:
    camera = mujoco.MjvCamera()
    camera.lookat[:] = [0.50, 0.04, 0.21]
    camera.distance, camera.azimuth, camera.elevation = 0.86, 202.0, -16.0
    return camera


def draw_episode(seed: int, width: int, height: int) -> NDArray[np.uint8]:
    """Pictures of the moments of an episode without misjudgements, side by side in two rows.

    Args:
        seed: of the episode.
        width: of one picture, pixels.
        height: of one picture, pixels.

    Returns:
        RGB, shape (2 height, 3 width, 3).
    """
    specification = TaskSpecification.load(find_task_file())
    environment = ScissorsEnvironment(specification, images=False)
    environment.reset(seed=seed)
    operator = ScissorsOperator(specification, misjudges=False)
    operator.reset(seed)
    renderer = OffscreenRenderer(environment.task.model, width, height, shadows=True)
    pictures: dict[str, NDArray[np.uint8]] = {}
    phase, over = operator.phase, False
    while not over:
        action = operator.act(environment.sight())
        if operator.phase != phase and phase in _MOMENTS:
            pictures[phase] = renderer.render(environment.task.data, _view())
        phase = operator.phase
        _, _, terminated, truncated, _ = environment.step(action.astype(np.float32))
        over = terminated or truncated
    pictures.setdefault("squeeze", renderer.render(environment.task.data, _view()))
    renderer.close()
    blank = np.full((height, width, 3), 255, dtype=np.uint8)
    row = [pictures.get(moment, blank) for moment in _MOMENTS]
    return np.vstack([np.hstack(row[:3]), np.hstack(row[3:])])


def main() -> None:
    """Writes the picture."""
    parser = argparse.ArgumentParser(description="Draw an episode of the scripted operator as one picture.")
    parser.add_argument("--seed", type=int, default=1, help="seed of the episode (default %(default)s)")
    parser.add_argument("--output", type=Path, default=Path("scissors.png"), help="PNG file to write")
    arguments = parser.parse_args()
    picture = draw_episode(arguments.seed, width=480, height=360)
    if not cv2.imwrite(str(arguments.output), picture[:, :, ::-1]):
        raise SystemExit(f"cannot write {arguments.output}; choose another --output")
    print(arguments.output)


if __name__ == "__main__":
    main()
