"""What the arm does next: commands in, reference out, and every reason to stand still."""

import threading
from dataclasses import dataclass

import numpy as np

from soft_flow_contract.driver_machine import DriverMachine, DriverReport, DriverState
from soft_flow_contract.pose import Pose
from soft_flow_contract.robot_cell import ArmConfiguration, Box
from soft_flow_franka_bringup.arm_state import ArmState
from soft_flow_franka_bringup.flange_reference import FlangeReference, ReferenceSample
from soft_flow_franka_bringup.joint_limits import LIMITS
from soft_flow_franka_bringup.target_guard import CommandedPose, TargetGuard, TargetRefused

SMOOTHING_TIME = 0.025  # s; shorter, and the torque could not change as fast as the fastest targets ask for
_STANDS, _STANDS_ANGLE = 2e-4, 1e-3  # m and rad from the reference within which a target moves nothing
STALE_AFTER = 0.05  # s without a new state
_LONGEST_STEP = 0.02  # s by which the reference advances at most between two states
_YIELD_AFTER = (
    0.15  # s after an emergency stop, when the arm stands, it gives way to what it may press against
)


@dataclass(frozen=True)
class FollowerSettings:
    """How commands are followed.

    Attributes:
        watchdog: whether missing commands are a fault.
        time_scale: seconds of the steady clock for one of the arm's (2 for a world at half speed).
        interpolation_time: seconds of the arm over which it is led to a target.
    """

    watchdog: bool = True
    time_scale: float = 1.0
    interpolation_time: float = 0.05


class ArmFollower:
    """Shared by the thread that owns the arm and by those that bring commands; every method is quick.

    All `now` are seconds of the steady clock.
    """

    def __init__(self, arm: ArmConfiguration, workspace: Box, settings: FollowerSettings) -> None:
        self._arm, self._scale = arm, settings.time_scale
        self._command_timeout = arm.command_timeout * settings.time_scale
        self._machine = DriverMachine(self._command_timeout, settings.watchdog)
        self._limits = LIMITS[arm.model]
        self._guard = TargetGuard(
            np.array(workspace.low),
            np.array(workspace.high),
            arm.max_jump,
            arm.max_jump_angle,
            frozenset({"", "base", f"{arm.model}_link0"}),
        )
        self._reference = FlangeReference(
            arm.max_speed, arm.max_turn, settings.interpolation_time, SMOOTHING_TIME
        )
        self._lock = threading.RLock()
        self._state: ArmState | None = None
        self._fresh_at = 0.0
        self._stopped_for: float | None = None  # s since an emergency stop from which the arm has not yielded
        self._accepted = self._refused = 0
        self._accepted_at = -np.inf
        self._last_refusal = ""

    # From outside

    def activate(self) -> None:
        """Commands may come."""
        with self._lock:
            self._machine.activate()
            self._guard.forget()

    def deactivate(self) -> None:
        """Commands are refused, the arm comes to rest."""
        with self._lock:
            self._machine.deactivate()
            self._rest()

    def emergency_stop(self, pressed: bool) -> None:
        """Come to rest at once and stay there; released, begin where the arm is."""
        with self._lock:
            was = self._machine.state
            self._machine.emergency_stop(pressed)
            if was is DriverState.READY and pressed:
                self._stopped_for = 0.0
                self._rest()
            elif was is DriverState.STOPPED and self._machine.follows:
                self._begin_where_it_is()

    def command(self, commanded: CommandedPose, now: float) -> None:
        """Take a target.

        Raises:
            TargetRefused: it is not followed, and does not feed the watchdog.
        """
        with self._lock:
            self.watch(now)  # a late command does not make up for those that stayed out
            try:
                if not self._machine.follows:
                    raise TargetRefused(f"target: {self._machine.reason}")
                target = self._guard.check(commanded, self._reference.lead)
            except TargetRefused as refusal:
                self._refused += 1
                self._last_refusal = str(refusal)
                raise
            translation, rotation = self._reference.lead.change_to(target)
            moves = np.linalg.norm(translation) > _STANDS or np.linalg.norm(rotation) > _STANDS_ANGLE
            self._reference.lead_to(target)
            self._machine.accepted(now, bool(moves))
            self._accepted += 1
            self._accepted_at = now

    def watch(self, now: float) -> None:
        """Look for missing commands; the arm's thread does it too, unless it is held up."""
        with self._lock:
            if self._machine.watch(now):
                self._rest()

    def fail(self, reason: str) -> None:
        """Stand still until `recover`."""
        with self._lock:
            if self._machine.fail(reason):
                self._rest()

    def report(self) -> DriverReport:
        """The present state and counts."""
        with self._lock:
            return DriverReport(
                self._machine.state,
                self._machine.reason,
                self._accepted,
                self._refused,
                self._guard.clamped,
                self._last_refusal,
            )

    # From the thread that owns the arm

    def connected(self, state: ArmState, now: float) -> None:
        """A controller answers, maybe another one than before: its clock may start anew."""
        with self._lock:
            self._state, self._fresh_at = state, now
            self._reference.restart(state.flange)

    def observe(self, state: ArmState, now: float) -> ReferenceSample:
        """Take the newest state; give the reference that belongs to it."""
        with self._lock:
            before = self._state.time_ms if self._state is not None else state.time_ms
            if state.time_ms != before:
                self._state, self._fresh_at = state, now
            dt = min(max(state.time_ms - before, 0) * 1e-3, _LONGEST_STEP)
            self._require_fresh(now)
            approached = self._limits.approached(state.position, state.velocity, self._arm.joint_limit_margin)
            if approached:
                self.fail(approached)
            self.watch(now)
            self._yield_after_stop(dt)
            return self._reference.advance(dt)

    def recovered(self, state: ArmState, restarted: bool) -> None:
        """What was wrong has been put right; begin where the arm is.

        Args:
            state: just observed.
            restarted: whether nothing has driven the arm in between, so that the reference may jump to it.
        """
        with self._lock:
            self._state = state
            self._machine.recover()
            self._guard.forget()
            if restarted:
                self._reference.restart(state.flange)
            else:
                self._begin_where_it_is()

    def age(self, now: float) -> float:
        """Seconds since the controller's clock advanced."""
        return now - self._fresh_at

    def fresh(self, now: float) -> bool:
        """Whether the controller's clock advances."""
        return self.age(now) <= STALE_AFTER * self._scale

    @property
    def active(self) -> bool:
        """Whether the arm should be held by this driver (it is not while a fault has ended that)."""
        return self._machine.state is not DriverState.INACTIVE

    @property
    def faulty(self) -> bool:
        """Whether a fault is latched."""
        return self._machine.faulty

    def moving(self, now: float) -> bool:
        """Whether commands flow; otherwise nothing should move, the elbow included."""
        return self._machine.follows and now - self._accepted_at <= self._command_timeout

    @property
    def reference_pose(self) -> Pose:
        """Where the reference's lead is."""
        return self._reference.lead

    def _require_fresh(self, now: float) -> None:
        if not self.fresh(now):
            self.fail(
                f"the controller's state stands still for {1e3 * self.age(now):.0f} ms; is the "
                "controller, or the network to it, dead?"
            )

    def _rest(self) -> None:
        self._reference.freeze()

    def _begin_where_it_is(self) -> None:
        self._stopped_for = None
        if self._state is not None:
            self._reference.lead_to(self._state.flange)

    def _yield_after_stop(self, dt: float) -> None:
        """Once it stands after an emergency stop, hold where it is, not where it was bound for."""
        if self._stopped_for is None or self._machine.state is not DriverState.STOPPED:
            return
        self._stopped_for += dt
        if self._stopped_for >= _YIELD_AFTER:
            self._begin_where_it_is()
