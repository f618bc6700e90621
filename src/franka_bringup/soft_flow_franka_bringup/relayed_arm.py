"""What a controller that follows every target for ever is told, and when it is told nothing any more."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from soft_flow_contract.driver_machine import DriverReport, DriverState
from soft_flow_contract.pose import Pose
from soft_flow_contract.robot_cell import ArmConfiguration, Box
from soft_flow_franka_bringup.arm_follower import ArmFollower, FollowerSettings
from soft_flow_franka_bringup.arm_state import ArmState
from soft_flow_franka_bringup.target_guard import CommandedPose

_SAME = 1e-9  # m and of a quaternion; a target that differs less is not sent again


@dataclass(frozen=True)
class RelaySettings:
    """How far the arm may lag behind what its controller was told.

    An arm that lags more is held up by something, or its controller is not active and would jump to the last
    target when it becomes so.
    """

    max_lag: float = 0.12  # m
    max_lag_angle: float = 0.8  # rad


@dataclass(frozen=True)
class ToController:
    """What to send now; None: nothing.

    Attributes:
        flange: target of the flange in the base frame.
        posture: (7,) rad, that the null space is drawn to.
    """

    flange: Pose | None = None
    posture: NDArray[np.float64] | None = None


class RelayedArm:
    """An `ArmFollower` whose reference goes to a controller that has no watchdog of its own.

    While commands are followed, the reference is sent with every state of the arm that changes it. When that
    ends, for whatever reason, the controller is told once to stay where the arm is, and nothing from then on.
    The elbow is drawn to the cell's posture only while commands flow.
    """

    def __init__(
        self, arm: ArmConfiguration, workspace: Box, follower: FollowerSettings, settings: RelaySettings
    ) -> None:
        self._follower = ArmFollower(arm, workspace, follower)
        self._settings = settings
        self._home = np.array(arm.home)
        self._state: ArmState | None = None
        self._sent: Pose | None = None
        self._leads = self._draws = False

    def activate(self, state: ArmState, now: float) -> None:
        """A controller listens, and the arm tells where it is."""
        self._state = state
        self._follower.connected(state, now)
        self._follower.activate()

    @property
    def active(self) -> bool:
        """Whether `activate` was called."""
        return self._follower.active

    def report(self) -> DriverReport:
        """State and counts."""
        return self._follower.report()

    def age(self, now: float) -> float:
        """Seconds since the arm's stamps advanced."""
        return self._follower.age(now)

    def emergency_stop(self, pressed: bool) -> None:
        """Take the state of the emergency stop; send what `due` gives afterwards."""
        self._follower.emergency_stop(pressed)

    def fail(self, reason: str) -> None:
        """Hold until `recover`; send what `due` gives afterwards."""
        self._follower.fail(reason)

    def command(self, commanded: CommandedPose, now: float) -> None:
        """Take a target.

        Raises:
            TargetRefused: it is not followed.
        """
        self._follower.command(commanded, now)

    def observe(self, state: ArmState, now: float) -> ToController:
        """Take a state of the arm; what to send then."""
        self._state = state
        reference = self._follower.observe(state, now).pose
        if self._follows:
            self._require_near(reference, state.flange)
        return self._what_to_send(reference, now)

    def due(self, now: float) -> ToController:
        """What to send between states of the arm: only that it shall stay, when there is a reason to."""
        if self.active and not self._follower.fresh(now):
            self._follower.fail(
                f"no new joint states for {1e3 * self.age(now):.0f} ms; are franka_ros2 and its "
                "joint_state_broadcaster alive, or did a reflex end them? see its log"
            )
        self._follower.watch(now)
        return ToController() if self._follows else self._what_to_send(None, now)

    def recover(self, now: float) -> str:
        """Begin anew where the arm is; returns why that cannot be, empty if it can."""
        if not self.active or self._state is None:
            return "the relay is not active: no joint states, or no controller that listens"
        if not self._follower.fresh(now):
            return f"the arm's joint states stand still for {1e3 * self.age(now):.0f} ms"
        self._follower.recovered(self._state, restarted=True)
        self._sent = None
        return ""

    @property
    def _follows(self) -> bool:
        return self._follower.report().state is DriverState.READY

    def _require_near(self, reference: Pose, flange: Pose) -> None:
        translation, rotation = flange.change_to(reference)
        lag, angle = float(np.linalg.norm(translation)), float(np.linalg.norm(rotation))
        if lag > self._settings.max_lag or angle > self._settings.max_lag_angle:
            self._follower.fail(
                f"the arm is {lag:.3f} m and {angle:.2f} rad from where its controller was told to go; is "
                "something in its way, or is cartesian_impedance_controller not active?"
            )

    def _what_to_send(self, reference: Pose | None, now: float) -> ToController:
        follows = self._follows
        flange = None
        if follows and reference is not None and not _same(reference, self._sent):
            flange = reference
        elif not follows and self._leads and self._state is not None:
            flange = self._state.flange
            # From now on the reference is what the controller was told; the state is as old as it was.
            self._follower.connected(self._state, now - self._follower.age(now))
        self._leads = follows
        self._sent = flange or self._sent
        return ToController(flange, self._posture(now))

    def _posture(self, now: float) -> NDArray[np.float64] | None:
        """The cell's posture when commands begin to flow, that of the arm when they end."""
        draws = self._follower.moving(now)
        if draws == self._draws or self._state is None:
            return None
        self._draws = draws
        return self._home if draws else self._state.position


def _same(pose: Pose, other: Pose | None) -> bool:
    return (
        other is not None
        and float(np.abs(pose.position - other.position).max()) < _SAME
        and float(np.abs(pose.quaternion - other.quaternion).max()) < _SAME
    )
