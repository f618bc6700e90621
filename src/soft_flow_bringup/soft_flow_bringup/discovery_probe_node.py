"""Send one message from a process to another through DDS. A program of `doctor`.

`talk` publishes (latched) until its input closes; `listen` ends with 0 once it has heard the message.
"""

from __future__ import annotations

import sys
import time

import rclpy
from rclpy.node import Node
from rclpy.qos import QoSDurabilityPolicy, QoSProfile, QoSReliabilityPolicy
from std_msgs.msg import String

_LATCHED = QoSProfile(
    depth=1, reliability=QoSReliabilityPolicy.RELIABLE, durability=QoSDurabilityPolicy.TRANSIENT_LOCAL
)
_TOPIC = "soft_flow_discovery_probe"
_PATIENCE = 15.0  # seconds


def talk() -> int:
    """Publish until the input closes."""
    rclpy.init()
    node = Node("discovery_probe_talker")
    publisher = node.create_publisher(String, _TOPIC, _LATCHED)
    publisher.publish(String(data="hello"))
    sys.stdin.read()
    node.destroy_node()
    rclpy.try_shutdown()
    return 0


def listen() -> int:
    """Wait for the message; returns 0 if it came."""
    rclpy.init()
    node = Node("discovery_probe_listener")
    heard: list[String] = []
    began = time.monotonic()
    node.create_subscription(String, _TOPIC, heard.append, _LATCHED)
    while not heard and time.monotonic() - began < _PATIENCE:
        rclpy.spin_once(node, timeout_sec=0.1)
    node.destroy_node()
    rclpy.try_shutdown()
    took = time.monotonic() - began
    print(
        f"a message between two processes after {took:.2f} s" if heard else f"no message within {took:.0f} s"
    )
    return 0 if heard else 1


if __name__ == "__main__":
    sys.exit({"talk": talk, "listen": listen}[sys.argv[1]]())
