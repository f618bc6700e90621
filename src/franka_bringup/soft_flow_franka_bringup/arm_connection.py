"""The arm's controller over franky: every call of it, with its errors in words."""

from collections.abc import Iterator
from contextlib import contextmanager

import franky
import numpy as np

from soft_flow_contract.errors import ContractError
from soft_flow_contract.pose import Pose
from soft_flow_contract.robot_cell import ArmConfiguration
from soft_flow_franka_bringup.arm_errors import flag_names, in_words, mode_in_words
from soft_flow_franka_bringup.arm_model import ArmModel
from soft_flow_franka_bringup.arm_state import ArmState
from soft_flow_franka_bringup.flange_impedance import FlangeImpedance
from soft_flow_franka_bringup.flange_reference import ReferenceSample
from soft_flow_franka_bringup.joint_limits import LIMITS
from soft_flow_franka_bringup.nominal_arm import nominal_arm_model
from soft_flow_franka_bringup.thread_priority import priority_kept, realtime_for_new_threads

_POSTURE_DAMPING = 20.0  # N m s/rad of the motion that leaves the flange where it is
_POSTURE_TORQUE = 3.0  # N m at most for it, so that an elbow far from home is not pulled there fast
_GAINS_TIME = 0.03  # s, time constant of changed gains
# N m a millisecond. franky limits the torque before its low-pass filter (100 Hz) takes 61 % off a step: this
# much leaves as 0.97, just within the 1 that the arm takes (libfranka's kMaxTorqueRate). With franky's
# default of 1 the arm could not brake from its fastest without swinging.
_TORQUE_STEP = 2.5
_DESK_MASS = 0.05  # kg; more than this configured in Desk would count twice


class ArmUnreachable(ContractError):  # noqa: N818 - says what happened
    """The controller does not answer, now; it may later."""


class ArmIncompatible(ContractError):  # noqa: N818 - says what happened
    """This computer cannot drive this controller; trying again is of no use."""


class ArmRefused(ContractError):  # noqa: N818 - says what happened
    """The controller answers but does not do what it was asked."""


@contextmanager
def _in_words(address: str, doing: str) -> Iterator[None]:
    """Turn franky's errors into ours. Once a connection is broken, franky raises Poco's, as RuntimeError."""
    try:
        yield
    except franky.IncompatibleVersionException as error:
        raise ArmIncompatible(
            f"{address}: {error} Install the franky wheels for the controller's server version; how, "
            "src/franka_bringup/README.md says"
        ) from error
    except franky.RealtimeException as error:
        raise ArmIncompatible(
            f"{address}: {error} Boot a PREEMPT_RT kernel, or accept communication errors with "
            "'realtime: ignore' in the cell's file"
        ) from error
    except (franky.NetworkException, franky.ProtocolException, RuntimeError) as error:
        raise ArmUnreachable(
            f"{address}: {doing}: {error} (is the address that of the controller, the arm unlocked, and FCI "
            "activated in Desk?)"
        ) from error
    except franky.Exception as error:
        raise ArmRefused(f"{address}: {doing}: {error}") from error


class ArmConnection:
    """The one client of an arm. Not for use by two threads at once; calls may block for a second."""

    def __init__(self, robot: franky.Robot, arm: ArmConfiguration) -> None:
        """Take a connected robot; see `open`."""
        self._robot, self._arm = robot, arm
        self._tracker: franky.CartesianImpedanceTracker | None = None
        self._stiffness = np.array([arm.translational_stiffness] * 3 + [arm.rotational_stiffness] * 3)
        self._pulls = False
        self._newest: ArmState | None = None
        self._impedance: FlangeImpedance | None = None
        self.warning = ""

    @classmethod
    def open(cls, arm: ArmConfiguration) -> "ArmConnection":
        """Connect and set frames, payload and collision thresholds. Blocks while another client is connected.

        Raises:
            ArmUnreachable: nothing answers there.
            ArmIncompatible: it speaks another version, or the kernel lacks the real time that the cell wants.
            ArmRefused: it does not take the cell's settings.
        """
        realtime = (
            franky.RealtimeConfig.Enforce if arm.realtime == "enforce" else franky.RealtimeConfig.Ignore
        )
        with _in_words(arm.address, "connecting"), priority_kept():
            connection = cls(franky.Robot(arm.address, realtime_config=realtime), arm)
        connection._prepare()
        return connection

    def _prepare(self) -> None:
        payload, robot = self._arm.payload, self._robot
        with _in_words(self._arm.address, "setting frames, payload and collision thresholds"):
            # The end effector becomes the flange, whatever Desk has configured: F_T_EE = F_T_NE NE_T_EE = 1.
            robot.set_ee(robot.state.F_T_NE.inverse.matrix.flatten(order="F").tolist())
            robot.set_load(
                payload.mass, list(payload.center_of_mass), np.diag(payload.inertia).flatten().tolist()
            )
            robot.set_collision_behavior(self._arm.collision_torque, self._arm.collision_force)
            configured = float(robot.state.m_ee)
        urdf = self._urdf()
        model = ArmModel.from_urdf(urdf, payload) if urdf else nominal_arm_model(payload)
        self._impedance = FlangeImpedance(model, self._stiffness)
        if configured > _DESK_MASS:
            self.warning = (
                f"Desk has an end effector of {configured:.2f} kg configured, which the cell's payload comes "
                "on top of; remove it in Desk (end effector: none)"
            )

    def _urdf(self) -> str:
        """The controller's description of the arm; empty if it is older than these."""
        try:
            return str(self._robot.model_urdf)
        except (AttributeError, franky.Exception):
            return ""

    def read(self) -> ArmState:
        """The newest state. Waits for the next one when nothing drives the arm.

        Raises:
            ArmUnreachable: the connection is broken, for good.
        """
        with _in_words(self._arm.address, "reading the state"):
            state = self._robot.state
        self._newest = ArmState(
            time_ms=int(state.time.to_msec()),
            position=np.asarray(state.q),
            velocity=np.asarray(state.dq),
            torque=np.asarray(state.tau_J),
            flange=_to_pose(state.O_T_EE * state.F_T_EE.inverse),
            mode=state.robot_mode.name,
            errors=flag_names(str(state.current_errors)),
            success_rate=float(state.control_command_success_rate),
            external_force=np.asarray(state.O_F_ext_hat_K)[:3],
        )
        return self._newest

    @property
    def driving(self) -> bool:
        """Whether this client has begun to drive the arm and knows of no end."""
        return self._tracker is not None

    @property
    def in_control(self) -> bool:
        """Whether this client drives the arm."""
        return self._tracker is not None and bool(self._robot.is_in_control)

    def start(self) -> None:
        """Drive the arm by impedance, from where it is.

        Raises:
            ArmRefused: it is in no state for that; the message says why.
            ArmUnreachable: see `read`.
        """
        state = self.read()
        self._require_able(state)
        limits, margin = LIMITS[self._arm.model], self._arm.joint_limit_margin
        self._pulls = False
        with _in_words(self._arm.address, "starting the impedance control"), realtime_for_new_threads():
            self._tracker = franky.CartesianImpedanceTracker(
                self._robot,
                gains=self._gains(state),
                max_delta_tau=_TORQUE_STEP,
                posture_task=franky.PostureTask(
                    np.array(self._arm.home), 0.0, _POSTURE_DAMPING, _POSTURE_TORQUE
                ),
                lower_joint_limits=limits.low + margin,
                upper_joint_limits=limits.high - margin,
                gains_time_constant=_GAINS_TIME,
            )

    def follow(self, sample: ReferenceSample) -> None:
        """Set the reference of the impedance control, for the state that was read last."""
        assert self._tracker is not None and self._newest is not None and self._impedance is not None
        feed_forward = self._impedance.feed_forward(
            sample.acceleration, self._newest.position, self._newest.velocity
        )
        with _in_words(self._arm.address, "setting the reference"):
            self._tracker.set_target(
                franky.Affine(sample.pose.position, sample.pose.quaternion),
                franky.Twist(sample.twist[:3], sample.twist[3:]),
                franky.TwistAcceleration(feed_forward[:3], feed_forward[3:]),
            )

    def tune(self) -> None:
        """Fit the damping to the inertia that the arm has where it is now."""
        assert self._tracker is not None and self._newest is not None
        gains = self._gains(self._newest)
        with _in_words(self._arm.address, "setting the damping"):
            self._tracker.motion.set_gains(gains)

    def pull(self, pulls: bool) -> None:
        """Let the elbow be drawn to the cell's home, or only damped."""
        assert self._tracker is not None
        if pulls != self._pulls:
            self._pulls = pulls
            with _in_words(self._arm.address, "setting the posture"):
                self._tracker.set_gains(posture_stiffness=self._arm.posture_stiffness if pulls else 0.0)

    def _gains(self, state: ArmState) -> franky.CartesianImpedanceGains:
        assert self._impedance is not None
        gains = franky.CartesianImpedanceGains()
        gains.stiffness = np.diag(self._stiffness)
        gains.damping = self._impedance.fit(state.position)
        return gains

    def why_lost(self) -> str:
        """Why the arm is not driven any more, in words."""
        self._tracker = None
        try:
            with _in_words(self._arm.address, "the controller ended the motion"):
                self._robot.poll_motion()
                errors = flag_names(str(self._robot.state.last_motion_errors))
        except ArmRefused as refusal:
            text = str(refusal)
            errors = flag_names(text[text.find("[") :].split("]")[0]) if "[" in text else ()
            return in_words(errors) or text
        except ContractError as error:
            return str(error)
        return in_words(errors) or "the controller ended the motion and gave no reason"

    def recover(self) -> None:
        """Clear the controller's errors.

        Raises:
            ArmRefused: something has to be done at the arm first; the message says what.
            ArmUnreachable: see `read`.
        """
        with _in_words(self._arm.address, "automatic error recovery"):
            self._robot.recover_from_errors()
        self._require_able(self.read())

    def _require_able(self, state: ArmState) -> None:
        if state.errors:
            raise ArmRefused(f"{self._arm.address}: {in_words(state.errors)}")
        if mode := mode_in_words(state.mode):
            raise ArmRefused(f"{self._arm.address}: {mode}")

    def stop(self) -> None:
        """Bring the arm to rest and leave it to the controller. Takes 0.2 to 2 s.

        Raises:
            ArmRefused, ArmUnreachable: it was not left in order; the controller holds the arm all the same.
        """
        tracker, self._tracker = self._tracker, None
        if tracker is not None:
            with _in_words(self._arm.address, "stopping"):
                tracker.stop()

    def close(self) -> None:
        """Disconnect: franky does when its robot is gone."""
        self._tracker = None
        del self._robot


def _to_pose(transform: franky.Affine) -> Pose:
    return Pose(np.asarray(transform.translation), np.asarray(transform.quaternion))
