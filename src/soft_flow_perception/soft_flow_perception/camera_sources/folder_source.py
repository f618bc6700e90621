"""A folder of pictures, played in the order of their names."""

from pathlib import Path

import cv2

from soft_flow_perception.camera_sources.camera_source import CameraError, Frame, RecordingEndedError
from soft_flow_perception.camera_sources.pacing import Pacer

PICTURES = (".png", ".jpg", ".jpeg", ".bmp")


def pictures(folder: Path) -> list[Path]:
    """The pictures of a folder, sorted by name.

    Raises:
        CameraError: there is no such folder, or no picture in it.
    """
    if not folder.is_dir():
        raise CameraError(f"{folder}: there is no such folder of pictures; check the camera's source")
    found = sorted(path for path in folder.iterdir() if path.suffix.lower() in PICTURES)
    if not found:
        raise CameraError(f"{folder}: has no picture ({', '.join(PICTURES)})")
    return found


class FolderSource:
    """Implements `CameraSource`. Files are read as they are played, so one that vanishes is noticed."""

    def __init__(self, folder: Path, pacer: Pacer, loop: bool = True) -> None:
        """Play `folder`, again and again with `loop`."""
        self._folder, self._pacer, self._loop = folder, pacer, loop
        self._waiting: list[Path] = []

    def open(self) -> None:
        """List the folder."""
        self._waiting = pictures(self._folder)

    def read(self) -> Frame:
        """The next picture, when it is due."""
        if not self._waiting:
            if not self._loop:
                raise RecordingEndedError(f"{self._folder}: all pictures were shown")
            self._waiting = pictures(self._folder)
        path = self._waiting.pop(0)
        image = cv2.imread(str(path), cv2.IMREAD_COLOR) if path.is_file() else None
        if image is None:
            raise CameraError(f"{path}: cannot be read as a picture")
        return Frame(cv2.cvtColor(image, cv2.COLOR_BGR2RGB), self._pacer.wait())

    def close(self) -> None:
        """Forget the list."""
        self._waiting = []
