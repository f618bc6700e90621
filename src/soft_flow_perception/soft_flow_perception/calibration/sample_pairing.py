"""Pairs the newest picture with the pose of an arm at rest."""

from collections import deque
from dataclasses import dataclass

import numpy as np

from soft_flow_contract.errors import ContractError
from soft_flow_contract.pose import Pose

_SECOND_NS = 1_000_000_000


class SampleRefusedError(ContractError):
    """There is no picture with a pose that belongs to it; says why."""


@dataclass(frozen=True)
class PairingLimits:
    """What a pair has to keep; seconds, metres, radians."""

    picture_age: float = 0.5  # of the newest picture
    apart: float = 0.05  # between the stamps of picture and pose
    rest_time: float = 0.5  # before the picture, in which the arm did not move
    rest_distance: float = 5e-4
    rest_angle: float = 2e-3


@dataclass(frozen=True)
class Pair:
    """A picture, RGB (H, W, 3), and the flange in the base frame at its time; stamps in nanoseconds."""

    image: np.ndarray
    image_stamp_ns: int
    flange_in_base: Pose
    pose_stamp_ns: int


class SamplePairing:
    """Keeps the newest picture and the poses around it."""

    def __init__(self, limits: PairingLimits | None = None) -> None:
        """Pair within `limits`."""
        self.limits = limits or PairingLimits()
        self._picture: tuple[int, np.ndarray] | None = None
        self._poses: deque[tuple[int, Pose]] = deque()
        self._kept_ns = round((self.limits.rest_time + self.limits.picture_age + 1.0) * 1e9)

    def add_picture(self, stamp_ns: int, image: np.ndarray) -> None:
        """Take a picture."""
        self._picture = (stamp_ns, image)

    def add_pose(self, stamp_ns: int, flange_in_base: Pose) -> None:
        """Take a pose."""
        self._poses.append((stamp_ns, flange_in_base))
        while self._poses[0][0] < stamp_ns - self._kept_ns:
            self._poses.popleft()

    def pair(self, now_ns: int) -> Pair:
        """The newest picture with its pose.

        Raises:
            SampleRefusedError: no fresh picture, no pose at its time, or the arm moved.
        """
        limits = self.limits
        if self._picture is None:
            raise SampleRefusedError("no picture has come; does the camera's node run?")
        stamp, image = self._picture
        if now_ns - stamp > limits.picture_age * _SECOND_NS:
            age = (now_ns - stamp) / _SECOND_NS
            raise SampleRefusedError(
                f"the newest picture is {age:.1f} s old (at most {limits.picture_age:g})"
            )
        if not self._poses:
            raise SampleRefusedError("no pose of the arm has come; does its driver run?")
        pose_stamp, pose = min(self._poses, key=lambda item: abs(item[0] - stamp))
        apart = abs(pose_stamp - stamp) / _SECOND_NS
        if apart > limits.apart:
            raise SampleRefusedError(
                f"picture and nearest pose are {apart * 1e3:.0f} ms apart "
                f"(at most {limits.apart * 1e3:.0f}); do their clocks agree?"
            )
        self._require_rest(stamp, pose)
        return Pair(image, stamp, pose, pose_stamp)

    def _require_rest(self, stamp_ns: int, pose: Pose) -> None:
        """Check the poses from `rest_time` before the picture until now."""
        limits = self.limits
        begin = stamp_ns - round(limits.rest_time * 1e9)
        if self._poses[0][0] > begin:
            raise SampleRefusedError(
                f"poses are known for less than {limits.rest_time:g} s before the picture; try again"
            )
        changes = [pose.change_to(other) for stamp, other in self._poses if stamp >= begin]
        distance = max(float(np.linalg.norm(shift)) for shift, _ in changes)
        angle = max(float(np.linalg.norm(turn)) for _, turn in changes)
        if distance > limits.rest_distance or angle > limits.rest_angle:
            raise SampleRefusedError(
                f"the arm moved by {distance * 1e3:.1f} mm, {np.degrees(angle):.2f} degrees within "
                f"{limits.rest_time:g} s; wait until it is at rest"
            )
