"""Publish weights of random bytes from a process of its own: `publish_weights.py MEGABYTES`.

Waits for the first line on standard input before it ends.
"""

import hashlib
import random
import sys

import rclpy

from soft_flow_contract import topics
from soft_flow_msgs.msg import PolicyWeights
from soft_flow_policy.message_conversion import to_weights_message
from soft_flow_policy.weights import WeightsRecord


def main() -> None:
    """Publish once; the topic keeps the message for whoever comes later."""
    data = random.Random(0).randbytes(int(sys.argv[1]) * 1_000_000)
    rclpy.init()
    node = rclpy.create_node("learner")
    publisher = node.create_publisher(PolicyWeights, topics.POLICY_WEIGHTS, topics.STATE)
    digest = hashlib.sha256(data).hexdigest()
    publisher.publish(to_weights_message(WeightsRecord("run", 0, 1, "0" * 64, digest, data)))
    print(digest, flush=True)
    sys.stdin.readline()
    node.destroy_node()
    rclpy.shutdown()


if __name__ == "__main__":
    main()
