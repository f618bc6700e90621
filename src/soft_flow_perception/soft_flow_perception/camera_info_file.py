"""Calibrations of cameras in ROS's own format, which camera_calibration and camera_info_manager write too."""

from pathlib import Path
from typing import Annotated, Literal

import numpy as np
import yaml
from numpy.typing import NDArray
from pydantic import Field, model_validator
from typing_extensions import Self

from soft_flow_contract.durable_files import write_durably
from soft_flow_contract.errors import ContractError, SpecificationError
from soft_flow_contract.robot_cell import CameraConfiguration, resolve
from soft_flow_contract.strict_model import StrictModel, YamlModel

# How many coefficients a model has (sensor_msgs/distortion_models.hpp, OpenCV's order).
COEFFICIENTS = {"plumb_bob": (4, 5), "rational_polynomial": (8,), "equidistant": (4,)}


class MatrixEntry(StrictModel):
    """A matrix, row by row."""

    rows: Annotated[int, Field(ge=1)]
    cols: Annotated[int, Field(ge=1)]
    data: tuple[float, ...]

    @model_validator(mode="after")
    def _complete(self) -> Self:
        if len(self.data) != self.rows * self.cols:
            raise ValueError(
                f"{self.rows} x {self.cols} needs {self.rows * self.cols} numbers, got {len(self.data)}"
            )
        return self

    @property
    def array(self) -> NDArray[np.float64]:
        """(rows, cols)."""
        return np.array(self.data).reshape(self.rows, self.cols)

    @classmethod
    def of(cls, matrix: NDArray[np.float64]) -> Self:
        """From a matrix (rows, cols)."""
        rows, cols = matrix.shape
        return cls(rows=rows, cols=cols, data=tuple(float(value) for value in matrix.ravel()))


class CameraInfo(YamlModel):
    """The intrinsic calibration of a camera: pixels, and the model of sensor_msgs/CameraInfo."""

    image_width: Annotated[int, Field(gt=0)]
    image_height: Annotated[int, Field(gt=0)]
    camera_name: str
    camera_matrix: MatrixEntry  # K
    distortion_model: Literal["plumb_bob", "rational_polynomial", "equidistant"]
    distortion_coefficients: MatrixEntry  # D
    rectification_matrix: MatrixEntry  # R
    projection_matrix: MatrixEntry  # P

    @model_validator(mode="after")
    def _shapes(self) -> Self:
        for name, shape in (
            ("camera_matrix", (3, 3)),
            ("rectification_matrix", (3, 3)),
            ("projection_matrix", (3, 4)),
        ):
            entry: MatrixEntry = getattr(self, name)
            if (entry.rows, entry.cols) != shape:
                raise ValueError(f"{name} is {entry.rows} x {entry.cols}, expected {shape[0]} x {shape[1]}")
        counts = COEFFICIENTS[self.distortion_model]
        if len(self.distortion_coefficients.data) not in counts:
            raise ValueError(
                f"distortion_coefficients: {self.distortion_model} has {counts[-1]}, "
                f"got {len(self.distortion_coefficients.data)}"
            )
        focal = (self.matrix[0, 0], self.matrix[1, 1])
        if min(focal) <= 0:
            raise ValueError(f"camera_matrix: focal lengths {focal[0]:g}, {focal[1]:g} must be positive")
        return self

    @property
    def matrix(self) -> NDArray[np.float64]:
        """Camera matrix K (3, 3), pixels."""
        return self.camera_matrix.array

    @property
    def distortion(self) -> NDArray[np.float64]:
        """Distortion coefficients D (n,)."""
        return self.distortion_coefficients.array.ravel()

    @classmethod
    def calibrated(
        cls,
        name: str,
        size: tuple[int, int],
        camera_matrix: NDArray[np.float64],
        distortion: NDArray[np.float64],
        projection: NDArray[np.float64],
    ) -> Self:
        """Of a single camera: no rectification.

        Args:
            name: of the camera.
            size: width and height, pixels.
            camera_matrix: (3, 3), pixels.
            distortion: (4,) or (5,) plumb_bob, (8,) rational_polynomial.
            projection: (3, 3) camera matrix of the undistorted image.
        """
        return cls(
            image_width=size[0],
            image_height=size[1],
            camera_name=name,
            camera_matrix=MatrixEntry.of(camera_matrix),
            distortion_model="rational_polynomial" if distortion.size == 8 else "plumb_bob",
            distortion_coefficients=MatrixEntry.of(distortion.reshape(1, -1)),
            rectification_matrix=MatrixEntry.of(np.eye(3)),
            projection_matrix=MatrixEntry.of(np.hstack([projection, np.zeros((3, 1))])),
        )

    def require_size(self, width: int, height: int, source: str) -> None:
        """Check that it is of images of this size.

        Raises:
            SpecificationError: naming both sizes.
        """
        if (self.image_width, self.image_height) != (width, height):
            raise SpecificationError(
                f"{source}: is a calibration of {self.image_width}x{self.image_height} pixels, "
                f"the camera has {width}x{height}; calibrate at this size, or correct the cell"
            )

    def write(self, path: Path, remarks: list[str]) -> None:
        """Write the file, with `remarks` as comments; a reader never sees half of it.

        Raises:
            ContractError: it cannot be written.
        """
        body = yaml.safe_dump(
            self.model_dump(mode="json"), sort_keys=False, default_flow_style=None, width=1000
        )
        text = "".join(f"# {line}\n" for line in remarks) + body
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            write_durably(path, text.encode())
        except OSError as error:
            raise ContractError(f"{path}: cannot be written ({error.strerror})") from error


def calibration_of_camera(camera: CameraConfiguration, robot_file: str | Path) -> CameraInfo | None:
    """The calibration that a cell names for its camera; None if it names none or the file is not there yet.

    Raises:
        SpecificationError: the file is broken, or of another image size.
    """
    if not camera.calibration:
        return None
    path = resolve(camera.calibration, robot_file)
    if not path.exists():
        return None
    calibration = CameraInfo.load(path)
    calibration.require_size(camera.width, camera.height, str(path))
    return calibration
