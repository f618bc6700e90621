"""Files of a cell with other cameras than the project's."""

from pathlib import Path
from typing import Any

import cv2
import numpy as np
import yaml

CELL = Path(__file__).parents[3] / "config" / "robots" / "fr3_orca_right.yaml"


def write_cell(folder: Path, *cameras: dict[str, Any]) -> Path:
    """A cell's file with these cameras; size 64 x 48 and 100 Hz where nothing else is said."""
    cell = yaml.safe_load(CELL.read_text(encoding="utf-8"))
    cell["cameras"] = [{"width": 64, "height": 48, "fps": 100.0, **camera} for camera in cameras]
    path = folder / "cell.yaml"
    path.write_text(yaml.safe_dump(cell), encoding="utf-8")
    return path


def picture(number: int, width: int = 64, height: int = 48) -> np.ndarray:
    """RGB (H, W, 3): brightness says the number, so that a JPEG keeps it."""
    image = np.full((height, width, 3), 20 + 20 * (number % 10), np.uint8)
    image[: height // 4, : width // 4] = (250, 0, 0)  # red: tells RGB from BGR
    return image


def write_pictures(folder: Path, count: int, width: int = 64, height: int = 48) -> Path:
    """A folder of PNG files."""
    folder.mkdir(parents=True, exist_ok=True)
    for number in range(count):
        image = picture(number, width, height)
        cv2.imwrite(str(folder / f"{number:04d}.png"), image[:, :, ::-1])
    return folder


def write_video(file: Path, count: int, width: int = 64, height: int = 48) -> Path:
    """A motion JPEG video."""
    writer = cv2.VideoWriter(str(file), cv2.VideoWriter.fourcc(*"MJPG"), 30.0, (width, height))
    for number in range(count):
        writer.write(np.ascontiguousarray(picture(number, width, height)[:, :, ::-1]))
    writer.release()
    return file
