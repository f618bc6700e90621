"""A video file, played at the camera's rate."""

from pathlib import Path

import cv2

from soft_flow_perception.camera_sources.camera_source import CameraError, Frame, RecordingEndedError
from soft_flow_perception.camera_sources.pacing import Pacer


class VideoSource:
    """Implements `CameraSource`."""

    def __init__(self, file: Path, pacer: Pacer, loop: bool = True) -> None:
        """Play `file`, again and again with `loop`."""
        self._file, self._pacer, self._loop = file, pacer, loop
        self._capture: cv2.VideoCapture | None = None

    def open(self) -> None:
        """Open the file at its first frame."""
        self.close()
        if not self._file.is_file():
            raise CameraError(f"{self._file}: there is no such video; check the camera's source")
        capture = cv2.VideoCapture(str(self._file))
        if not capture.isOpened():
            raise CameraError(f"{self._file}: cannot be opened as a video")
        self._capture = capture

    def read(self) -> Frame:
        """The next frame, when it is due."""
        if self._capture is None:
            raise CameraError(f"{self._file}: is not open")
        if not self._file.is_file():
            raise CameraError(f"{self._file}: the video has vanished")
        ok, image = self._capture.read()
        if not ok:
            if not self._loop:
                raise RecordingEndedError(f"{self._file}: the video is over")
            self.open()
            ok, image = self._capture.read()
            if not ok:
                raise CameraError(f"{self._file}: has no frame that can be decoded")
        return Frame(cv2.cvtColor(image, cv2.COLOR_BGR2RGB), self._pacer.wait())

    def close(self) -> None:
        """Close the file."""
        if self._capture is not None:
            self._capture.release()
            self._capture = None
