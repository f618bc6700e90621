"""franky alone, without ROS: reads the arm's state and drives along the paths of arm_trace, at 200 Hz.

python benchmarks/_raw_arm.py --robot-file CELL --drives 0.2,2,6 0.5,4,2 --output raw.npz
"""

import argparse
import time
from pathlib import Path

import franky
import numpy as np
from arm_trace import TICK, Drive

from soft_flow_contract.pose import Pose
from soft_flow_contract.robot_cell import ArmConfiguration, RobotCell
from soft_flow_franka_bringup.flange_reference import FlangeReference
from soft_flow_franka_bringup.pacing import Pacing

RATE = 200.0  # Hz
REST = 1.5  # s after a drive


class RawArm:
    """franky's impedance tracker as its documentation shows it: a target pose, nothing else."""

    def __init__(self, arm: ArmConfiguration) -> None:
        self._robot = franky.Robot(arm.address, realtime_config=franky.RealtimeConfig.Ignore)
        inertia = np.diag(arm.payload.inertia).flatten().tolist()
        self._robot.set_load(arm.payload.mass, list(arm.payload.center_of_mass), inertia)
        self._robot.set_collision_behavior(arm.collision_torque, arm.collision_force)
        self._tracker = franky.CartesianImpedanceTracker(
            self._robot,
            translational_stiffness=arm.translational_stiffness,
            rotational_stiffness=arm.rotational_stiffness,
            posture_task=franky.PostureTask(np.array(arm.home), arm.posture_stiffness),
        )
        self._max_speed, self._max_turn = arm.max_speed, arm.max_turn
        self._pacing = Pacing(1.0 / RATE)
        self.received: list[float] = []
        self.positions: list[np.ndarray] = []

    def cycle(self) -> None:
        """Wait for the next cycle and read the state in it."""
        self._pacing.wait()
        state = self._robot.state
        self.received.append(time.monotonic())
        self.positions.append(np.asarray(state.q))

    def pose(self) -> Pose:
        """Of the flange, which is the end effector here."""
        transform = self._robot.state.O_T_EE
        return Pose(np.asarray(transform.translation), np.asarray(transform.quaternion))

    def follow(self, drive: Drive) -> float:
        """Drive; when the last target was set (steady clock), NaN if the arm ended the motion by a reflex."""
        start = self.pose()
        reference = FlangeReference(self._max_speed, self._max_turn, TICK, 0.025)  # only its lead is used
        reference.restart(start)
        began = last = time.monotonic()
        targets = drive.targets(start)
        due, target = next(targets)
        ends = None
        while ends is None or time.monotonic() < ends:
            self.cycle()
            if ends is None and time.monotonic() - began >= due:
                reference.lead_to(target)
                last = time.monotonic()
                due, target = next(targets, (np.inf, target))
                if due == np.inf:
                    ends = last + REST
            reference.advance(1.0 / RATE)
            lead = reference.lead
            self._tracker.set_target(franky.Affine(lead.position, lead.quaternion))
        return last if self._robot.is_in_control else np.nan

    def close(self) -> None:
        """Let the arm go."""
        if self._robot.is_in_control:
            self._tracker.stop()


def main() -> None:
    """Run the process."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--robot-file", type=Path, required=True)
    parser.add_argument("--drives", nargs="+", required=True, help="SPEED,ANGULAR_FREQUENCY,PERIODS")
    parser.add_argument("--output", type=Path, required=True)
    options = parser.parse_args()
    arm = RawArm(RobotCell.load(options.robot_file).arm)
    ended = []
    for text in options.drives:
        speed, frequency, periods = text.split(",")
        ended.append(arm.follow(Drive(float(speed), float(frequency), int(periods))))
    arm.close()
    np.savez(options.output, received=arm.received, position=np.array(arm.positions), ended=ended)


if __name__ == "__main__":
    main()
