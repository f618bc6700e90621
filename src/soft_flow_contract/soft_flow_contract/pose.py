"""Rigid poses: position in metres, orientation as a unit quaternion (x, y, z, w)."""

from dataclasses import dataclass

import numpy as np
from scipy.spatial.transform import Rotation
from typing_extensions import Self


@dataclass(frozen=True)
class Pose:
    """Pose of a frame in another one (which two, the variable's name says).

    Attributes:
        position: (3,) float64, m.
        quaternion: (4,) float64, x y z w, unit length.
    """

    position: np.ndarray
    quaternion: np.ndarray

    @classmethod
    def from_matrix(cls, position: np.ndarray, rotation: np.ndarray) -> Self:
        """From a position (3,) and a rotation matrix (3, 3)."""
        return cls(np.asarray(position, float), Rotation.from_matrix(rotation).as_quat())

    @property
    def matrix(self) -> np.ndarray:
        """Rotation matrix (3, 3)."""
        return Rotation.from_quat(self.quaternion).as_matrix()

    @property
    def rotation_6d(self) -> np.ndarray:
        """First two columns of the rotation matrix, (6,) (Zhou et al. 2019, arXiv 1812.07035)."""
        return self.matrix[:, :2].T.reshape(6)

    def moved(self, translation: np.ndarray, rotation_vector: np.ndarray) -> "Pose":
        """The pose after a translation (m) and a rotation (rad), both in the parent frame: R' = exp(w) R."""
        rotation = Rotation.from_rotvec(rotation_vector) * Rotation.from_quat(self.quaternion)
        return Pose(self.position + translation, rotation.as_quat())

    def change_to(self, other: "Pose") -> tuple[np.ndarray, np.ndarray]:
        """Translation (3,) and rotation vector (3,) in the parent frame with which `moved` gives `other`."""
        rotation = Rotation.from_quat(other.quaternion) * Rotation.from_quat(self.quaternion).inv()
        return other.position - self.position, rotation.as_rotvec()
