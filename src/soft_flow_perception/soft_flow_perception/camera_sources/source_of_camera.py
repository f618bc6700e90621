"""The source that a camera of the cell's file names."""

from pathlib import Path

from soft_flow_contract.robot_cell import CameraConfiguration, resolve
from soft_flow_perception.camera_sources.camera_source import CameraSource
from soft_flow_perception.camera_sources.folder_source import FolderSource
from soft_flow_perception.camera_sources.pacing import Pacer
from soft_flow_perception.camera_sources.realsense_source import RealsenseSource
from soft_flow_perception.camera_sources.v4l2_source import V4l2Source
from soft_flow_perception.camera_sources.video_source import VideoSource


def source_of_camera(
    camera: CameraConfiguration, robot_file: str | Path, loop: bool = True, buffers: int = 1
) -> CameraSource:
    """Make the source; nothing is opened yet.

    Args:
        camera: what to read.
        robot_file: the cell's file; paths of recordings are relative to it.
        loop: play recordings again and again.
        buffers: of the kernel, for a V4L2 device.
    """
    if camera.driver == "v4l2":
        return V4l2Source(camera, buffers)
    if camera.driver == "realsense":
        return RealsenseSource(camera)
    recording, pacer = resolve(camera.source, robot_file), Pacer(camera.fps)
    if camera.driver == "video":
        return VideoSource(recording, pacer, loop)
    return FolderSource(recording, pacer, loop)
