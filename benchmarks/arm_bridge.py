"""The arm's driver: how old a joint state is when a subscriber has it, and how soon the arm stands.

Controller (the simulated arm's libfranka server), driver and subscriber are processes of their own. A state
is known by its joint positions, which nothing on its way changes; the controller records when it sent them.
Beside it, in the same run: franky alone, without ROS, which reads states and drives along the same paths.
"""

import argparse
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import rclpy
from arm_trace import TICK, Drive, Sent
from domain_coordinator import domain_id
from figures import Figure, write_results
from geometry_msgs.msg import PoseStamped
from machine_time import ProcessorTime
from rclpy.executors import SingleThreadedExecutor
from sensor_msgs.msg import JointState
from std_msgs.msg import Bool
from std_srvs.srv import Trigger

from soft_flow_contract import message_conversion as convert
from soft_flow_contract import topics
from soft_flow_msgs.msg import DriverState

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT / "src" / "franka_bringup" / "test"))
from arm_process import ArmProcess  # noqa: E402
from bridge_graph import write_cell  # noqa: E402

LATENCY_GOAL_MS, RATE_GOAL_HZ, STOP_GOAL_MS = 10.0, 100.0, 250.0
PATIENCE = 60.0  # s for anything to happen
REST = 1.5  # s after a drive
COMMAND = "./soft-flow bench arm_bridge"
RIVAL = "franky alone"


@dataclass(frozen=True)
class Run:
    """What one client saw.

    Attributes:
        received: (N,) s of the steady clock.
        position: (N, 7) rad, as received.
        ended: when the last target of each drive was sent.
    """

    received: np.ndarray
    position: np.ndarray
    ended: Sequence[float]


class Subscriber:
    """A node that plays the arbiter, and keeps the joint states with the time at which it had them."""

    def __init__(self) -> None:
        rclpy.init()
        self._node = rclpy.create_node("arm_bridge_benchmark")
        self._executor = SingleThreadedExecutor()
        self._executor.add_node(self._node)
        self.received: list[float] = []
        self.positions: list[np.ndarray] = []
        self._state, self._reason = -1, ""
        self._pose: PoseStamped | None = None
        subscribe, publish = self._node.create_subscription, self._node.create_publisher
        subscribe(JointState, topics.ARM_JOINT_STATES, self._on_joints, topics.sensor(False))
        subscribe(PoseStamped, topics.ARM_CURRENT_POSE, self._on_pose, topics.sensor(False))
        subscribe(DriverState, topics.ARM_DRIVER_STATE, self._on_state, topics.STATE)
        self._targets = publish(PoseStamped, topics.ARM_TARGET_POSE, topics.COMMAND)
        self._stop = publish(Bool, topics.EMERGENCY_STOP_STATE, topics.STATE)
        self._recover = self._node.create_client(Trigger, topics.ARM_RECOVER)
        self._stop.publish(Bool(data=False))

    def _on_joints(self, message: JointState) -> None:
        self.received.append(time.monotonic())
        self.positions.append(np.array(message.position))

    def _on_pose(self, message: PoseStamped) -> None:
        self._pose = message

    def _on_state(self, message: DriverState) -> None:
        self._state, self._reason = message.state, message.reason

    def until_state(self, state: int) -> None:
        """Spin until the driver is in this state.

        Raises:
            TimeoutError: it never is.
        """
        self._until(lambda: self._state == state, f"driver state {state}")

    def _until(self, condition: object, what: str) -> None:
        end = time.monotonic() + PATIENCE
        while not condition():  # type: ignore[operator]
            if time.monotonic() > end:
                raise TimeoutError(f"never happened: {what}")
            self._executor.spin_once(timeout_sec=0.01)

    def follow(self, drive: Drive) -> float:
        """Send the drive's targets; when the last was sent. Then wait until the driver holds, and recover.

        Raises:
            RuntimeError: the driver held before the end.
        """
        self._until(lambda: self._pose is not None, "a pose of the flange")
        assert self._pose is not None
        start = convert.to_pose(self._pose.pose)
        began = last = time.monotonic()
        for due, target in drive.targets(start):
            while (remaining := began + due - time.monotonic()) > 0:
                self._executor.spin_once(timeout_sec=remaining)
            if self._state != DriverState.READY:
                raise RuntimeError(f"the driver held on its way: {self._reason}; is the machine busy?")
            last = time.monotonic()
            self._targets.publish(convert.to_pose_stamped(target, self._node.get_clock().now().nanoseconds))
        self.until_state(DriverState.FAULT)
        self._until(lambda: time.monotonic() > last + REST, "rest")
        self._recover_driver()
        return last

    def _recover_driver(self) -> None:
        end = time.monotonic() + PATIENCE
        answer = self._recover.call_async(Trigger.Request())
        self._until(answer.done, "an answer of the recover service")
        while not answer.result().success:
            if time.monotonic() > end:
                raise RuntimeError(f"the driver does not recover: {answer.result().message}")
            answer = self._recover.call_async(Trigger.Request())
            self._until(answer.done, "an answer of the recover service")
        self.until_state(DriverState.READY)

    def close(self) -> None:
        """End."""
        self._executor.shutdown()
        self._node.destroy_node()
        rclpy.try_shutdown()


@contextmanager
def driver(cell: Path) -> Iterator[None]:
    """The node as a process."""
    node = [sys.executable, "-m", "soft_flow_franka_bringup.fci_bridge_node", "--ros-args"]
    process = subprocess.Popen([*node, "-p", f"robot_file:={cell}"])
    try:
        yield
    finally:
        process.terminate()
        process.wait()


def run_bridge(cell: Path, drives: Sequence[Drive]) -> Run:
    """Drive through the node."""
    with domain_id() as domain:
        os.environ |= {"ROS_DOMAIN_ID": str(domain), "ROS_AUTOMATIC_DISCOVERY_RANGE": "LOCALHOST"}
        with driver(cell):
            subscriber = Subscriber()
            subscriber.until_state(DriverState.READY)
            ended = [subscriber.follow(drive) for drive in drives]
            subscriber.close()
    return Run(np.array(subscriber.received), np.array(subscriber.positions), ended)


def run_raw(cell: Path, drives: Sequence[Drive], folder: Path) -> Run:
    """Drive by franky alone."""
    texts = [f"{drive.speed},{drive.angular_frequency},{drive.periods}" for drive in drives]
    output = folder / "raw.npz"
    script = [sys.executable, str(ROOT / "benchmarks" / "_raw_arm.py"), "--robot-file", str(cell)]
    subprocess.run([*script, "--output", str(output), "--drives", *texts], check=True)
    with np.load(output) as data:
        return Run(data["received"], data["position"], data["ended"])


def figures_of(sent: Sent, bridge: Run, raw: Run, drives: Sequence[Drive]) -> list[Figure]:
    """Latency, rate and stops."""
    ours, theirs = (1e3 * sent.latencies(run.received, run.position) for run in (bridge, raw))
    gaps, rival_gaps = (1e3 * np.diff(run.received) for run in (bridge, raw))
    gaps, rival_gaps = gaps[gaps < 500], rival_gaps[rival_gaps < 500]  # not those between drives

    def figure(
        text: str, value: float, unit: str, rival: float, goal: str = "", holds: bool | None = None
    ) -> Figure:
        known = float(rival) if np.isfinite(rival) else None  # None: a reflex ended the rival's motion
        return Figure(text, float(value), unit, goal, holds, RIVAL, known, len(ours), COMMAND)

    p99 = float(np.percentile(ours, 99))
    rate = 1e3 / float(np.mean(gaps))
    rows = [
        figure("state sent to state received, p50", np.median(ours), "ms", float(np.median(theirs))),
        figure(
            "state sent to state received, p99", p99, "ms", float(np.percentile(theirs, 99)),
            f"< {LATENCY_GOAL_MS:g}", p99 < LATENCY_GOAL_MS,
        ),
        figure(
            "rate", rate, "Hz", 1e3 / float(np.mean(rival_gaps)), f">= {RATE_GOAL_HZ:g}", rate >= RATE_GOAL_HZ
        ),
        figure(
            "jitter: receipt after the one before, off its median, p99",
            float(np.percentile(np.abs(gaps - np.median(gaps)), 99)), "ms",
            float(np.percentile(np.abs(rival_gaps - np.median(rival_gaps)), 99)),
        ),
    ]  # fmt: skip
    for drive, mine, other in zip(drives, bridge.ended, raw.ended, strict=True):
        stop, rival = (1e3 * sent.motion_over(end) if np.isfinite(end) else np.nan for end in (mine, other))
        text = f"last command at {drive.speed:g} m/s to the end of all motion"
        rows.append(figure(text, stop, "ms", rival, f"<= {STOP_GOAL_MS:g}", stop <= STOP_GOAL_MS))
    return rows


def main() -> int:
    """Measure and write the results."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument(
        "--periods", type=int, default=10, help="of the slow path, 3 s each, default %(default)s"
    )
    options = parser.parse_args()
    drives = (Drive(0.2, 2.0, options.periods), Drive(0.5, 4.0, 2))
    before = ProcessorTime.now()
    with tempfile.TemporaryDirectory() as folder:
        record = Path(folder) / "sent.npy"
        server = ArmProcess("", "--sent", str(record))
        cell = write_cell(Path(folder), server.address)
        try:
            bridge = run_bridge(cell, drives)
            raw = run_raw(cell, drives, Path(folder))
        finally:
            server.close()
        sent = Sent.load(record)
    stolen, busy = before.shares_until(ProcessorTime.now())
    notes = (
        f"{os.cpu_count()} cores, {100 * busy:.0f} % in use, {100 * stolen:.1f} % stolen by other machines; "
        f"niceness {os.getpriority(os.PRIO_PROCESS, 0)}. "
        f"{RIVAL}: a process without ROS reads the state as often, and gives franky's tracker the same "
        f"targets, led linearly over a tick of {1e3 * TICK:g} ms, with its own damping and without "
        "feed-forward. Motion is over when no joint is faster than 0.05 rad/s, by the controller's own "
        "record; the goals are those of the whole graph."
    )
    write_results("arm_bridge", figures_of(sent, bridge, raw, drives), notes)
    return 0


if __name__ == "__main__":
    sys.exit(main())
