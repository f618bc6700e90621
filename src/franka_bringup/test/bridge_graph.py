"""The bridge in-process beside a peer that plays the arbiter, on the simulated arm's server."""

import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import rclpy
import yaml
from arm_peer import ArmPeer
from rclpy.context import Context
from rclpy.parameter import Parameter

from soft_flow_contract import message_conversion as convert
from soft_flow_contract.pose import Pose
from soft_flow_franka_bringup.fci_bridge_node import FciBridgeNode
from soft_flow_msgs.msg import DriverState

CELL = Path(__file__).parents[3] / "config" / "robots" / "protocol_sim.yaml"
TICK = 0.05


def write_cell(folder: Path, address: str, **arm: object) -> Path:
    """A cell's file whose arm is at this address."""
    cell = yaml.safe_load(CELL.read_text())
    cell["arm"] |= {"address": address, **arm}
    path = folder / "cell.yaml"
    path.write_text(yaml.safe_dump(cell))
    return path


class BridgeGraph(ArmPeer):
    """The node, and everything around it."""

    def __init__(self, domain: int, robot_file: Path, **parameters: object) -> None:
        context = Context()
        rclpy.init(context=context, domain_id=domain)
        values = {"robot_file": str(robot_file), **parameters}
        self.node = FciBridgeNode(
            context=context, parameter_overrides=[Parameter(name, value=v) for name, v in values.items()]
        )
        super().__init__(context, self.node)

    def pose(self) -> Pose:
        """The newest flange pose."""
        count = len(self.poses)
        self.until(lambda: len(self.poses) > count, "a new flange pose")
        return convert.to_pose(self.poses[-1].pose)

    def until_at_rest(self, speed: float = 0.01) -> None:
        """Until no joint has been faster than this (rad/s) for 20 states."""
        self.joints.clear()
        self.until(
            lambda: (
                len(self.joints) >= 20
                and max(float(np.abs(j.velocity).max()) for j in self.joints[-20:]) < speed
            ),
            "the arm at rest",
        )

    def ready(self) -> Pose:
        """Release the emergency stop; where the flange is then."""
        self.until(lambda: self.state in (DriverState.STOPPED, DriverState.READY), "activation")
        self.press(False)
        self.until_state(DriverState.READY)
        self.until(lambda: self.targets.get_subscription_count() == 1, "a subscriber of targets")
        return self.pose()

    def drive(self, path: Callable[[float], Pose], seconds: float) -> list[tuple[float, Pose]]:
        """Send a path of the flange by control ticks; returns what was sent, with the time of its sending."""
        start, sent = time.monotonic(), []
        for tick in range(round(seconds / TICK)):
            while time.monotonic() - start < tick * TICK:
                self.spin(0.001)
            target = path((tick + 1) * TICK)
            sent.append((time.monotonic(), target))
            self.command(target)
        return sent


def along_y(start: Pose, speed: float) -> Callable[[float], Pose]:
    """A path along the y axis at a speed (m/s)."""
    return lambda t: start.moved(np.array([0.0, speed * t, 0.0]), np.zeros(3))
