"""Listens to a running graph (a program of `doctor`): `graph_probe_node SECONDS CAMERA...`."""

import struct
import sys
import time
from typing import Any

import rclpy
from rclpy.node import Node
from rclpy.parameter import Parameter
from sensor_msgs.msg import Image, JointState
from std_msgs.msg import Bool

from soft_flow_bringup.robot_doctor.probe_report import doing, tell
from soft_flow_bringup.robot_doctor.spread import Spread
from soft_flow_contract import topics
from soft_flow_msgs.msg import DriverState

_DISCOVERY = 4.0  # s for which a graph is looked for; DDS announces itself anew every 3
_LATCHED = 0.5  # s in which what is latched has come
_STAMP = struct.Struct("<iI")  # a header comes first in the bytes of a message, after four of encapsulation
_ENCAPSULATION = 4
_COMMANDS = (topics.ARM_TARGET_POSE, topics.HAND_TARGET_JOINT)
_DRIVERS = {"arm": topics.ARM_DRIVER_STATE, "hand": topics.HAND_DRIVER_STATE}


class Listening:
    """Arrivals and stamps of one topic; a simulated graph is judged by the latter.

    Messages stay bytes, for a picture takes long to be decoded.
    """

    def __init__(self, node: Node, kind: type, topic: str) -> None:
        self._node = node
        self.arrivals: list[float] = []
        self.stamps: list[int] = []
        self.ages: list[float] = []
        self.subscription = node.create_subscription(
            kind, topic, self._on_message, topics.sensor(False), raw=True
        )

    def _on_message(self, data: bytes) -> None:
        seconds, nanoseconds = _STAMP.unpack_from(data, _ENCAPSULATION)
        now = self._node.get_clock().now().nanoseconds
        self.arrivals.append(time.monotonic())
        self.stamps.append(seconds * 10**9 + nanoseconds)
        self.ages.append((now - self.stamps[-1]) * 1e-6)

    def forget(self) -> None:
        """Begin anew: what came while the graph was discovered is not regular."""
        for kept in (self.arrivals, self.stamps, self.ages):
            kept.clear()

    def result(self, simulated_time: bool) -> dict[str, Any]:
        """The fields of TopicMeasured."""
        times = [stamp * 1e-9 for stamp in self.stamps] if simulated_time else self.arrivals
        gaps = [1e3 * (b - a) for a, b in zip(times, times[1:], strict=False)]
        intervals, ages = Spread.of(gaps), Spread.of(self.ages)
        return {
            "publishers": self.subscription.get_publisher_count(),
            "messages": len(self.arrivals),
            "rate": _rate(times),
            "intervals": intervals.model_dump() if intervals else None,
            "ages": ages.model_dump() if ages else None,
        }


def _rate(times: list[float]) -> float:
    elapsed = times[-1] - times[0] if times else 0.0
    return round((len(times) - 1) / elapsed, 1) if elapsed > 0 else 0.0


class GraphProbe(Node):
    """Subscribes to what a robot's graph should publish."""

    def __init__(self, cameras: list[str]) -> None:
        super().__init__("soft_flow_doctor")
        stamped: dict[str, type] = {topics.ARM_JOINT_STATES: JointState, topics.HAND_JOINT_STATES: JointState}
        stamped |= {topics.camera_image(name): Image for name in cameras}
        self.listening = {topic: Listening(self, kind, topic) for topic, kind in stamped.items()}
        self.drivers: dict[str, dict[str, Any]] = {}
        self.emergency_stopped: bool | None = None
        for part, topic in _DRIVERS.items():
            self.create_subscription(DriverState, topic, self._driver_listener(part), topics.STATE)
        self.create_subscription(Bool, topics.EMERGENCY_STOP_STATE, self._on_stop, topics.STATE)

    def _driver_listener(self, part: str) -> Any:
        def on_state(message: DriverState) -> None:
            self.drivers[part] = {"state": int(message.state), "reason": message.reason}

        return on_state

    def _on_stop(self, message: Bool) -> None:
        self.emergency_stopped = bool(message.data)

    def running(self) -> bool:
        """Whether a node of a robot's graph is there."""
        watched = [*self.listening, *_COMMANDS, *_DRIVERS.values(), topics.EMERGENCY_STOP_STATE]
        return any(self.count_publishers(topic) for topic in watched)

    def simulated_time(self) -> bool:
        """Whether somebody publishes a clock; the stamps are then compared with that."""
        simulated = self.count_publishers(topics.CLOCK) > 0
        if simulated:
            self.set_parameters([Parameter("use_sim_time", Parameter.Type.BOOL, True)])
        return simulated

    def spin(self, seconds: float) -> None:
        """Let messages come for so long."""
        until = time.monotonic() + seconds
        while (left := until - time.monotonic()) > 0:
            rclpy.spin_once(self, timeout_sec=min(left, 0.1))

    def command_publishers(self) -> dict[str, list[str]]:
        """Names of the nodes that publish commands."""
        return {
            topic: sorted(
                f"{info.node_namespace.rstrip('/')}/{info.node_name}"
                for info in self.get_publishers_info_by_topic(topic)
            )
            for topic in _COMMANDS
        }


def measure(seconds: float, cameras: list[str]) -> dict[str, Any]:
    """The fields of GraphMeasured."""
    doing("looking for a graph")
    probe = GraphProbe(cameras)
    until = time.monotonic() + _DISCOVERY
    while not probe.running() and time.monotonic() < until:
        probe.spin(0.1)
    if not probe.running():
        return {"running": False}
    simulated = probe.simulated_time()
    probe.spin(_LATCHED)
    simulated = simulated or probe.simulated_time()
    doing("listening")
    for listening in probe.listening.values():
        listening.forget()
    probe.spin(seconds)
    results = {topic: listening.result(simulated) for topic, listening in probe.listening.items()}
    return {
        "running": True,
        "simulated_time": simulated,
        "topics": {topic: result for topic, result in results.items() if result["publishers"]},
        "drivers": probe.drivers,
        "command_publishers": probe.command_publishers(),
        "emergency_stopped": probe.emergency_stopped,
    }


def main() -> None:
    """Listen, tell."""
    seconds, cameras = float(sys.argv[1]), sys.argv[2:]
    rclpy.init(args=[])
    tell(measure(seconds, cameras))
    rclpy.try_shutdown()


if __name__ == "__main__":
    main()
