"""A libfranka server with the reflexes of a real controller, on franky_sim's implementation of the protocol.

franky_sim speaks the protocol (version 10, that of the FR3) but neither has limits nor notices a client that
fell silent: in torque control it would apply the last torque for ever. Here, as on the robot, a reflex ends
the motion, the arm holds, and nothing moves until the client asks for automatic error recovery.
"""

import select
import time
from collections.abc import Iterable

import numpy as np
from franky_sim.franka_robot_protocol import (
    AutomaticErrorRecoveryCommand,
    BaseCommand,
    MoveCommandControllerMode,
    MoveCommandMotionGeneratorMode,
    MoveStatus,
    RobotCommand,
    RobotMode,
    SetCollisionBehaviorCommand,
)
from franky_sim.franka_robot_server import FrankaRobotServer
from franky_sim.franka_robot_state import FrankaRobotState

from soft_flow_sim.protocol import arm_errors
from soft_flow_sim.protocol.fci_arm import FciArm

LOST_PACKETS = 20  # in a row that end a motion (Franka's FCI documentation, "Network requirements")
# Limits of the FR3 (Franka's FCI documentation, "Robot limits and interface specifications"), rad and rad/s.
POSITION_LOW = np.array([-2.7437, -1.7837, -2.9007, -3.0421, -2.8065, 0.5445, -3.0159])
POSITION_HIGH = np.array([2.7437, 1.7837, 2.9007, -0.1518, 2.8065, 4.5169, 3.0159])
VELOCITY_HIGH = np.array([2.62, 2.62, 2.62, 2.62, 5.26, 4.18, 5.26])
_TORQUE_WITHOUT_CLIENT = 100.0  # N m; thresholds until a client sets its own


class _Recovery(AutomaticErrorRecoveryCommand):
    """Clears the reflex."""

    def handle(self, server: FrankaRobotServer) -> None:
        assert isinstance(server, FciServer)
        server.recover()
        super().handle(server)


class _CollisionBehavior(SetCollisionBehaviorCommand):
    """Takes the thresholds of external torques."""

    def handle(self, server: FrankaRobotServer) -> None:
        assert isinstance(server, FciServer)
        server.collision_torque = np.array(self.upper_torque_thresholds_nominal)
        super().handle(server)


class FciServer(FrankaRobotServer):
    """One arm on port 1337.

    Attributes:
        reflex_reason: name of the error that ended the last motion; empty when there is none.
        heard: a command has come since the last state was sent.
        lost: commands in a row that did not come in time.
        collision_torque: (7,) external torques (N m) that are a reflex.
    """

    def __init__(self, arm: FciArm, addresses: Iterable[str]) -> None:
        self.reflex_reason = ""
        self._silent = False
        self._owed_motion = 0  # whose end a silent server could not tell its client
        self.collision_torque = np.full(7, _TORQUE_WITHOUT_CLIENT)
        self._arm = arm
        self.lost = 0
        self.heard = self._answered = False
        super().__init__(arm, addresses)
        # franky_sim offers no other way to handle a command differently.
        commands = self._FrankaServer__command_class_map  # type: ignore[attr-defined]
        commands[RobotCommand.kAutomaticErrorRecovery] = _Recovery
        commands[RobotCommand.kSetCollisionBehavior] = _CollisionBehavior

    @property
    def silent(self) -> bool:
        """Whether nothing is received or sent (a network that was cut); the arm looks after itself."""
        return self._silent

    @silent.setter
    def silent(self, silent: bool) -> None:
        self._silent = silent
        if not silent and self._owed_motion:
            self._tell_end(self._owed_motion)
            self._owed_motion = 0

    @property
    def moving(self) -> bool:
        """Whether a client's motion is running, so that a command is due every millisecond."""
        return bool(self.current_motion_id)

    @property
    def due(self) -> bool:
        """Whether a command is due now: the motion's first one answers a state that tells of the motion."""
        return self.moving and self._answered and not self.heard

    def start_motion(
        self,
        controller_mode: MoveCommandControllerMode,
        motion_generator_mode: MoveCommandMotionGeneratorMode,
        motion_id: int,
    ) -> None:
        """See FrankaRobotServer.

        Raises:
            RuntimeError: a reflex was not recovered from; the client's command is refused.
        """
        if self.reflex_reason:
            raise RuntimeError(f"refused until automatic error recovery: {self.reflex_reason}")
        self.lost, self._answered = 0, False
        super().start_motion(controller_mode, motion_generator_mode, motion_id)

    def receive(self, patience: float) -> None:
        """Receive what has come and let the controller act, once before every step of the world.

        A client whose command is due, and that has answered so far, is given so many wall seconds to send it.
        """
        deadline = time.monotonic() + patience
        while self.due and not self._silent and not self.lost and patience > 0:
            self._await(patience)
            self._cycle()
            patience = deadline - time.monotonic()
        if not self.heard:
            self._cycle()

    def _await(self, seconds: float) -> None:
        """Sleep until the client sends something, at most so long."""
        sockets = [self._tcp_socket, self._FrankaServer__udp_socket]  # type: ignore[attr-defined]
        select.select([socket for socket in sockets if socket is not None], [], [], seconds)

    def _cycle(self) -> None:
        if self.silent:
            self._post_process_commands()
        else:
            self.process_commands()

    def check(self) -> None:
        """Look for a reason to stop, once after every step of the world."""
        if not self.moving:
            self.lost = 0
            return
        self.lost = self.lost + 1 if self.due or self._silent else 0
        position, velocity = np.array(self._arm.inner_state.q), np.array(self._arm.inner_state.dq)
        if self.lost >= LOST_PACKETS:
            self.reflex("communication_constraints_violation")
        elif np.any(position < POSITION_LOW) or np.any(position > POSITION_HIGH):
            self.reflex("joint_position_limits_violation")
        elif np.any(np.abs(velocity) > VELOCITY_HIGH):
            self.reflex("joint_velocity_violation")
        elif np.any(np.abs(self._arm.external_torque()) > self.collision_torque):
            self.reflex("joint_reflex")

    def publish(self) -> None:
        """Send the state, once after every step."""
        self.heard = False
        if not self.silent:
            self.send_state()

    def reflex(self, reason: str) -> None:
        """End the motion for a reason; the arm holds where it is.

        Raises:
            KeyError: there is no such error; see arm_errors.NAMES.
        """
        flags = arm_errors.error_flags(arm_errors.NAMES[reason])
        self.reflex_reason, self._flags = reason, flags
        motion = self.current_motion_id
        self.stop_motion(send_preemption_signal=False)
        if motion:
            self.reset_current_motion_id()
            if self._silent:
                self._owed_motion = motion
            else:
                self._tell_end(motion)

    def _tell_end(self, motion: int) -> None:
        if self.tcp_connected:
            self.send_state()
            BaseCommand.send_response(self._tcp_socket, RobotCommand.kMove, motion, MoveStatus.kReflexAborted)

    def recover(self) -> None:
        """Forget the reflex."""
        self.reflex_reason = ""

    def drop_client(self) -> None:
        """Close the connection, as a controller that restarts does."""
        self._owed_motion = 0
        self.reset_state()

    def _handle_udp_command(self, command_data: bytes) -> None:
        self.heard = self._answered = True
        if not self.reflex_reason:
            super()._handle_udp_command(command_data)

    @property
    def robot_state(self) -> FrankaRobotState:
        """The state as sent: with the reflex, and with the external torques of contacts."""
        state = super().robot_state
        external = tuple((-self._arm.external_torque()).tolist())
        if not self.reflex_reason:
            return state.replace(tau_ext_hat_filtered=external)
        return state.replace(
            tau_ext_hat_filtered=external,
            robot_mode=RobotMode.kReflex,
            errors=self._flags,
            reflex_reason=self._flags,
        )
