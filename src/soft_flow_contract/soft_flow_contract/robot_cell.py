"""A robot cell: what `config/robots/NAME.yaml` says of its arm, hand, cameras and limits."""

from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Literal

import numpy as np
from numpy.typing import NDArray
from pydantic import Field, model_validator
from typing_extensions import Self

from soft_flow_contract.errors import SpecificationError
from soft_flow_contract.strict_model import StrictModel, YamlModel
from soft_flow_contract.task_specification import Vector3

WRIST = "wrist"  # the hand's joint whose motor has no current limit

Vector7 = tuple[float, float, float, float, float, float, float]
Quaternion = tuple[float, float, float, float]  # x y z w


class Placement(StrictModel):
    """A frame in its parent: metres, and a quaternion x y z w."""

    position: Vector3
    quaternion: Quaternion = (0.0, 0.0, 0.0, 1.0)

    @model_validator(mode="after")
    def _unit_length(self) -> Self:
        length = float(np.linalg.norm(self.quaternion))
        if abs(length - 1) > 1e-3:
            raise ValueError(f"quaternion {self.quaternion} has length {length:.4f}; expected 1")
        return self


class Payload(StrictModel):
    """What hangs on the flange (the hand and its adapter), for the arm's gravity compensation."""

    mass: Annotated[float, Field(ge=0, le=5)]  # kg
    center_of_mass: Vector3  # m, in the flange's frame
    inertia: Vector3  # kg m^2, diagonal, about the centre of mass, in the flange's axes


class ArmConfiguration(StrictModel):
    """The arm and how it is driven."""

    model: Literal["fr3", "panda"]
    address: str  # of the controller (FCI)
    joint_names: tuple[str, str, str, str, str, str, str]
    realtime: Literal["enforce", "ignore"] = "enforce"  # enforce needs a PREEMPT_RT kernel
    payload: Payload
    home: Vector7  # rad; the posture that the null space is drawn to
    translational_stiffness: Annotated[float, Field(gt=0, le=3000)] = 1200.0  # N/m
    rotational_stiffness: Annotated[float, Field(gt=0, le=300)] = 60.0  # N m/rad
    posture_stiffness: Annotated[float, Field(ge=0, le=100)] = 10.0  # N m/rad, in the null space
    collision_torque: Annotated[float, Field(gt=0, le=100)] = 30.0  # N m; external torque that is a reflex
    collision_force: Annotated[float, Field(gt=0, le=150)] = 40.0  # N
    max_speed: Annotated[float, Field(gt=0, le=2)] = 0.7  # m/s of the flange's reference
    max_turn: Annotated[float, Field(gt=0, le=6)] = 3.5  # rad/s
    max_jump: Annotated[float, Field(gt=0, le=0.3)] = (
        0.10  # m; a target farther from the reference is refused
    )
    max_jump_angle: Annotated[float, Field(gt=0, le=1.5)] = 0.5  # rad
    joint_limit_margin: Annotated[float, Field(ge=0, le=0.5)] = 0.05  # rad kept from every joint's end
    command_timeout: Annotated[float, Field(ge=0.06, le=1)] = (
        0.15  # s without a command until it holds for good
    )


class HandConfiguration(StrictModel):
    """The hand and how it is driven."""

    version: Literal["v1", "v2"]
    model: str  # a folder of orca_core's models: orcahand-right, orcahand-left, ...
    port: str  # of the servo bus; /dev/serial/by-id/... stays the same across plugs
    baudrate: Annotated[int, Field(ge=9600, le=4_500_000)] = 3_000_000
    calibration: str = ""  # file; empty: soft_flow/hands/CELL.yaml in ROS_HOME or ~/.ros
    max_current: Annotated[int, Field(ge=20, le=1500)] = 300  # mA, of every finger motor
    max_speed: Annotated[float, Field(gt=0, le=20)] = 8.0  # rad/s of every joint's command
    max_wrist_speed: Annotated[float, Field(gt=0, le=10)] = 2.0  # rad/s; the wrist has no current limit
    max_jump: Annotated[float, Field(gt=0, le=3)] = 1.0  # rad; a target farther from the last one is refused
    max_temperature: Annotated[float, Field(gt=30, le=80)] = 65.0  # degrees Celsius; hotter is a fault
    torque_at_exit: Literal["release", "keep"] = "release"
    command_timeout: Annotated[float, Field(ge=0.06, le=1)] = (
        0.15  # s without a command until it holds for good
    )

    def joint_speeds(self, joint_names: Sequence[str]) -> NDArray[np.float64]:
        """(J,) rad/s, no faster than which the driver leads the joints."""
        return np.array([self.max_wrist_speed if name == WRIST else self.max_speed for name in joint_names])


class CameraConfiguration(StrictModel):
    """A camera of the cell; its name is that of the task's camera."""

    name: str
    driver: Literal["v4l2", "realsense", "video", "images"]
    source: str  # device or its index; serial number; file; folder
    width: Annotated[int, Field(ge=16, le=4096)] = 640
    height: Annotated[int, Field(ge=16, le=4096)] = 480
    fps: Annotated[float, Field(gt=0, le=240)] = 30.0
    calibration: str = ""  # file that `soft-flow calibrate` writes: intrinsics
    parent: str = "base"  # frame in which it is mounted: base, or flange for a wrist camera
    placement: Placement | None = None  # in its parent, from the hand-eye calibration (optical frame)


class Box(StrictModel):
    """A box in the base frame, for the flange."""

    low: Vector3
    high: Vector3

    @model_validator(mode="after")
    def _ordered(self) -> Self:
        if any(low >= high for low, high in zip(self.low, self.high, strict=True)):
            raise ValueError(f"low {self.low} must be below high {self.high} on every axis")
        return self


class Start(StrictModel):
    """Where an episode begins; the arbiter's go_to_start drives there."""

    flange: Placement  # in the base frame
    hand: dict[str, float]  # rad by joint; joints left out: 0
    speed: Annotated[float, Field(gt=0, le=0.5)] = 0.15  # m/s
    turn: Annotated[float, Field(gt=0, le=1)] = 0.5  # rad/s, also of the hand's joints


class RobotCell(YamlModel):
    """Arm, hand, cameras, and the box that nothing leaves."""

    name: Annotated[str, Field(pattern=r"^[A-Za-z0-9_-]+$")]
    arm: ArmConfiguration
    hand: HandConfiguration
    hand_in_flange: Placement
    cameras: tuple[CameraConfiguration, ...]
    workspace: Box
    start: Start

    @model_validator(mode="after")
    def _consistent(self) -> Self:
        names = [camera.name for camera in self.cameras]
        if len(set(names)) < len(names):
            raise ValueError(f"cameras: a name is used twice in {names}")
        position = np.array(self.start.flange.position)
        if np.any(position < self.workspace.low) or np.any(position > self.workspace.high):
            raise ValueError(f"start.flange {self.start.flange.position} lies outside the workspace")
        return self

    def camera(self, name: str) -> CameraConfiguration:
        """The camera of this name.

        Raises:
            SpecificationError: the cell has none.
        """
        for camera in self.cameras:
            if camera.name == name:
                return camera
        known = ", ".join(camera.name for camera in self.cameras) or "none"
        raise SpecificationError(f"cell '{self.name}' has no camera '{name}'; it has: {known}")


def resolve(path: str, beside: str | Path) -> Path:
    """A path of a cell's file: absolute, of the home folder (~), or relative to that file's folder."""
    found = Path(path).expanduser()
    return found if found.is_absolute() else Path(beside).expanduser().resolve().parent / found
