"""Watches the control loop of a running graph from outside: wall time from each tick to what it leads to.

    python -m soft_flow_bringup.control_loop_node --output loop.jsonl

The graph's own latencies are on the ROS clock, which in simulation stands still between a tick and its
command phase; so this process takes the wall times at which messages were sent (their DDS source stamps).
It writes one line a tick and ends on Ctrl-C. It subscribes only once an episode runs, so that it never stands
in for a missing node.
"""

import argparse
import json
import struct
import sys
from pathlib import Path
from typing import Any

from rclpy.node import Node
from rclpy.qos import QoSProfile, ReliabilityPolicy
from rosgraph_msgs.msg import Clock

from soft_flow_contract import topics
from soft_flow_contract.graph_node import run_node
from soft_flow_contract.message_conversion import to_nanoseconds
from soft_flow_contract.task_specification import TaskSpecification
from soft_flow_msgs.msg import ActionChunk, EpisodeState, ExecutedAction, Observation

_STAMP = struct.Struct("<iI")  # seconds and nanoseconds, after the four bytes of CDR's encapsulation
SendInfo = dict[str, int]  # rclpy's MessageInfo: source_timestamp and received_timestamp, ns
_KEPT_TICKS = 40  # a tick that is older than so many others has got all that it will get


def stamp_of(data: bytes) -> int:
    """Stamp (ns) of a serialized message that begins with a header."""
    seconds, nanoseconds = _STAMP.unpack_from(data, 4)
    return seconds * 1_000_000_000 + nanoseconds


class ControlLoopNode(Node):
    """Notes when a tick's observation, chunk and command arrive."""

    def __init__(self, output: Path, dt_ns: int) -> None:
        """Write to `output`; ticks are multiples of `dt_ns`."""
        super().__init__("control_loop_watch")
        self._dt_ns = dt_ns
        output.parent.mkdir(parents=True, exist_ok=True)
        self._file = output.open("w", encoding="utf-8")
        self._ticks: dict[int, dict[str, Any]] = {}
        self._watching = False
        self.create_subscription(EpisodeState, topics.EPISODE_STATE, self._on_state, topics.STATE)

    def _on_state(self, message: EpisodeState) -> None:
        if message.state != EpisodeState.RUNNING or self._watching:
            return
        self._watching = True
        clock = QoSProfile(depth=20, reliability=ReliabilityPolicy.BEST_EFFORT)
        self.create_subscription(Clock, topics.CLOCK, self._on_clock, clock)
        self.create_subscription(
            Observation, topics.OBSERVATION, self._on_observation, topics.OBSERVATIONS, raw=True
        )
        self.create_subscription(ActionChunk, topics.ACTION_CHUNK, self._on_chunk, topics.COMMAND, raw=True)
        self.create_subscription(ExecutedAction, topics.EXECUTED_ACTION, self._on_executed, topics.RECORDED)

    def _on_clock(self, message: Clock, info: SendInfo) -> None:
        stamp = to_nanoseconds(message.clock)
        if stamp % self._dt_ns == 0:
            self._ticks.setdefault(stamp, {"tick": stamp})["began"] = info["source_timestamp"]
            self._write_older_than(stamp - _KEPT_TICKS * self._dt_ns)

    def _on_observation(self, data: bytes, info: SendInfo) -> None:
        self._note(stamp_of(data), "observation", info)

    def _on_chunk(self, data: bytes, info: SendInfo) -> None:
        self._note(stamp_of(data), "chunk", info)

    def _on_executed(self, message: ExecutedAction, info: SendInfo) -> None:
        stamp = to_nanoseconds(message.header.stamp)
        self._note(stamp, "command", info)
        self._ticks[stamp] |= {"missed": message.missed_deadline, "source": message.source}

    def _note(self, stamp: int, name: str, info: SendInfo) -> None:
        self._ticks.setdefault(stamp, {"tick": stamp})[name] = info["source_timestamp"]

    def _write_older_than(self, stamp: int) -> None:
        for tick in sorted(tick for tick in self._ticks if tick < stamp):
            values = self._ticks.pop(tick)
            if "began" in values:  # /clock is best effort; without its message the tick has no beginning
                for name in {"observation", "chunk", "command"} & values.keys():
                    values[name] = (values[name] - values["began"]) * 1e-9
                self._file.write(json.dumps(values) + "\n")

    def destroy_node(self) -> None:
        """Write what is left."""
        self._write_older_than(sys.maxsize)
        self._file.close()
        super().destroy_node()


def main() -> None:
    """Run the node."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--output", type=Path, required=True, help="file that gets one JSON line a tick")
    parser.add_argument("--task", type=Path, required=True, help="task specification")
    arguments, _ = parser.parse_known_args()
    dt_ns = TaskSpecification.load(arguments.task).dt_ns
    run_node(lambda: ControlLoopNode(arguments.output, dt_ns))


if __name__ == "__main__":
    main()
