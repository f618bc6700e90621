"""All that is said to a hand's motors, over orca_core. One thread owns it; every method may block.

What orca_core does by itself and a driver must not is kept from it here: it looks for the hand on other ports
and at other baud rates, jumps to a stale goal when torque comes on, and reports failed reads as old values.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from orca_core import OrcaHand
from orca_core.maintenance.calibration_routine import run_calibration

from orca_hand_driver.hand_files import HandFiles
from orca_hand_driver.hand_model import HandModel
from orca_hand_driver.hand_port import (
    BusError,
    PinnedHand,
    bus_errors,
    close_port,
    require_free_port,
    wait_for_bytes,
)
from orca_hand_driver.joint_map import JointMap, affine_joint_map

NOT_CALIBRATED = "not calibrated, so nobody knows where the joints are; run hand/calibrate"
_ATTEMPTS = 3  # to connect again after a calibration
ShouldStop = Callable[[], bool]
OnProgress = Callable[[dict[str, Any]], None]


@dataclass(frozen=True)
class HandReading:
    """One answer of all motors.

    Attributes:
        position: (J,) rad; None while the hand is not calibrated.
        velocity: (J,) rad/s; zeros while it is not.
        torque: (J,) N m, estimated from the motors' currents; 0 where a motor measures none, and as above.
        current: (J,) mA of each joint's motor, with its own sign.
        alert: whether a motor says that it has latched a fault.
    """

    position: NDArray[np.float64] | None
    velocity: NDArray[np.float64]
    torque: NDArray[np.float64]
    current: NDArray[np.float64]
    alert: bool


class HandBus:
    """The motors of one hand."""

    def __init__(self, files: HandFiles) -> None:
        """Read configuration and calibration; nothing is sent.

        Raises:
            BusError: orca_core refuses them.
        """
        self._files = files
        self._hand: OrcaHand | None = None
        self._map: JointMap | None = None
        self.calibration_problem = ""  # why joint angles are not known, while connected
        self.energized = False  # motors hold, in the mode and with the current limit of the configuration
        config = self._new_hand().config
        self._motors = [config.motor_id_to_idx_dict[config.joint_to_motor_map[j]] for j in config.joint_ids]
        rom = np.deg2rad([config.joint_roms_dict[joint] for joint in config.joint_ids])
        neutral = np.deg2rad([config.neutral_position.get(joint, 0.0) for joint in config.joint_ids])
        self.model = HandModel(
            tuple(config.joint_ids), rom[:, 0], rom[:, 1], np.clip(neutral, rom[:, 0], rom[:, 1])
        )
        self._motor_ids = list(config.motor_ids)

    def _new_hand(self) -> OrcaHand:
        with bus_errors(f"reading {self._files.configuration}, {self._files.calibration}"):
            return PinnedHand(str(self._files.configuration), str(self._files.calibration))

    # Connection

    @property
    def connected(self) -> bool:
        """Whether the port is open and all motors answered."""
        return self._hand is not None

    @property
    def calibrated(self) -> bool:
        """Whether joint angles are known."""
        return self._map is not None

    def open(self) -> None:
        """Connect; torque stays as it is, nothing moves.

        Raises:
            BusError: no port, in use, or a motor does not answer.
        """
        require_free_port(self._files.port)
        hand = self._new_hand()
        try:
            with bus_errors(f"connecting at {self._files.port}"):
                connected, message = hand.connect(interactive=False)
                if not connected:
                    raise BusError(f"{self._files.port}: {message}")
                if hand.absent_joints:
                    raise BusError(
                        f"{self._files.port}: no motor answers for {', '.join(hand.absent_joints)}; check "
                        "the cables along the chain"
                    )
                self._map, self.calibration_problem = self._read_map(hand)
        except BusError:
            close_port(hand)
            raise
        wait_for_bytes(hand)
        self._hand, self.energized = hand, False

    def _read_map(self, hand: OrcaHand) -> tuple[JointMap | None, str]:
        """The map, or why there is none."""
        if not hand.calibrated:
            return None, NOT_CALIBRATED
        hand.get_joint_position()  # finds out by how many turns each motor's angle is off
        if not hand.last_read_ok:
            raise BusError(f"{self._files.port}: the motors answered once, and then no more")
        names, motors = hand.config.joint_ids, len(self._motors)
        at_zero = hand._motor_to_joint_pos(np.zeros(motors))
        at_one = hand._motor_to_joint_pos(np.ones(motors))
        limits = hand.motor_client.read_current_limits()
        has_current = [limits[hand.config.joint_to_motor_map[name]] is not None for name in names]
        joint_map = affine_joint_map(
            self._motors, [at_zero[name] for name in names], [at_one[name] for name in names], has_current
        )
        if joint_map is None:
            return None, NOT_CALIBRATED
        if wrong := [names[joint] for joint in joint_map.implausible()]:
            return None, (
                f"the calibration of {', '.join(wrong)} found no stops (a motor hardly turned or turned on); "
                "look what blocks or does not hold it, then run hand/calibrate"
            )
        return joint_map, ""

    def close(self) -> None:
        """Let go of the port; torque stays as it is."""
        hand, self._hand, self._map, self.energized = self._hand, None, None, False
        if hand is not None:
            close_port(hand)

    def _connected_hand(self) -> OrcaHand:
        if self._hand is None:
            raise BusError(f"{self._files.port}: not connected")
        return self._hand

    # The cycle

    def read(self) -> HandReading | None:
        """Position, speed and current of all motors in one transaction; None if not all of them answered.

        Raises:
            BusError: the port is gone.
        """
        hand = self._connected_hand()
        with bus_errors("reading the motors"):
            state = hand.get_motor_state()
            if not hand.last_read_ok:
                return None
            alert = bool(hand.motor_client.take_hardware_alerts())
        current = np.asarray(state.current, float)
        if self._map is None:
            zeros = np.zeros(len(self._motors))
            return HandReading(None, zeros, zeros, current[self._motors], alert)
        return HandReading(
            self._map.to_joints(np.asarray(state.position, float)),
            self._map.to_joint_velocity(np.asarray(state.velocity, float)),
            self._map.to_joint_torque(current),
            current[self._motors],
            alert,
        )

    def write(self, position: NDArray[np.float64]) -> None:
        """Send targets (J,), rad, to all motors in one transaction.

        Raises:
            BusError: the port is gone, or the hand is not calibrated.
            ValueError: a target is not finite; nothing is sent.
        """
        if self._map is None:
            raise BusError("a hand that is not calibrated takes no targets")
        motor_position = self._map.to_motors(position)
        if not np.isfinite(motor_position).all():
            raise ValueError(f"targets {position.tolist()} rad are not finite")
        with bus_errors("writing targets"):
            self._connected_hand().write_motor_pos(self._motor_ids, motor_position)

    # Now and then

    def energize(self) -> None:
        """Torque on, in the mode and with the current limit of the configuration; nothing moves.

        Goals are set to where the motors are before that, so that none jumps to what it was told long ago.

        Raises:
            BusError: a motor does not answer.
        """
        hand = self._connected_hand()
        self.energized = False
        with bus_errors("switching torque on"):
            state = hand.get_motor_state()
            if not hand.last_read_ok:
                raise BusError("switching torque on: the motors do not say where they are")
            hand.write_motor_pos(self._motor_ids, np.asarray(state.position, float))
            hand.set_max_current(hand.config.max_current)
            hand.set_control_mode(hand.config.control_mode)  # with torque off and on
            self._require_done(hand.enable_torque(), "torque on")
        self.energized = True

    def release(self) -> None:
        """Torque off: the hand goes limp.

        Raises:
            BusError: a motor did not acknowledge.
        """
        hand = self._connected_hand()
        self.energized = False
        with bus_errors("switching torque off"):
            self._require_done(hand.motor_client.set_torque_enabled(self._motor_ids, False, 1), "torque off")

    def temperatures(self) -> NDArray[np.float64]:
        """(J,) degrees Celsius of each joint's motor."""
        with bus_errors("reading temperatures"):
            return np.asarray(self._connected_hand().get_motor_temp(), float)[self._motors]

    def faults(self) -> dict[str, str]:
        """What motors have latched, by joint: "overload", "overheating", ... A silent motor is not in it."""
        hand = self._connected_hand()
        with bus_errors("reading the motors' faults"):
            errors = hand.motor_client.read_hardware_errors(self._motor_ids)
            decode = hand.motor_client.decode_hardware_error
            names = hand.config.motor_to_joint_dict
            return {names[motor]: ", ".join(decode(error)) for motor, error in errors.items() if error}

    def reboot(self, joints: list[str]) -> None:
        """Restart the motors of these joints, which clears what they latched; their torque is off then."""
        hand = self._connected_hand()
        self.energized = False
        with bus_errors("rebooting motors"):
            for joint in joints:
                hand.motor_client.reboot_motor(hand.config.joint_to_motor_map[joint])
            hand.motor_client.take_hardware_alerts()

    def calibrate(
        self, joints: Sequence[str], force: bool, should_stop: ShouldStop, on_progress: OnProgress
    ) -> bool:
        """Drive joints against their stops, and write the calibration; then connect anew.

        Args:
            joints: which; empty: all.
            force: also the wrist, if it is calibrated already and plausible.
            should_stop: polled all the time; True ends it, with torque off.
            on_progress: orca_core's events, called in this thread.

        Returns:
            Whether it went to the end; torque is off if not.

        Raises:
            BusError: the bus or the routine failed.
        """
        hand = self._connected_hand()
        self.energized = False
        with bus_errors("calibrating"):
            hand.set_max_current(hand.config.max_current)
            result = run_calibration(
                hand,
                force_wrist=force or hand.calibrated and self._map is None,
                joints=list(joints) or None,
                progress_callback=on_progress,
                should_stop=should_stop,
            )
        self._reopen()
        return result is not None

    def _reopen(self) -> None:
        """Let a new OrcaHand read what was written, as it will at the next start."""
        self.close()
        for _ in range(_ATTEMPTS - 1):
            try:
                return self.open()
            except BusError:
                continue  # the motors answered a moment ago; one that missed a ping answers the next
        self.open()

    @staticmethod
    def _require_done(failed: list[int], what: str) -> None:
        if failed:
            raise BusError(f"{what}: motors {failed} did not acknowledge; check power and cables")
