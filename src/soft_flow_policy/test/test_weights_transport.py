import hashlib
import subprocess
import sys
from pathlib import Path

import rclpy
from rclpy.context import Context
from rclpy.executors import SingleThreadedExecutor

from soft_flow_contract import topics
from soft_flow_msgs.msg import PolicyWeights
from soft_flow_policy.message_conversion import weights_from_bytes

SCRIPT = Path(__file__).parent / "publish_weights.py"
MEGABYTES = 50


def test_fifty_megabytes_of_weights_arrive_intact_from_another_process() -> None:
    command = [sys.executable, str(SCRIPT), str(MEGABYTES)]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdin is not None and process.stdout is not None
        sent = process.stdout.readline().strip()  # published: whoever subscribes now is late
        received = receive_one()
        process.stdin.write("\n")
        process.stdin.close()
        assert process.wait() == 0
    record = weights_from_bytes(received)
    assert len(record.data) == MEGABYTES * 1_000_000
    assert sent == record.sha256 == hashlib.sha256(record.data).hexdigest()


def receive_one() -> bytes:
    """The first message of the topic, as the policy node takes it."""
    context = Context()
    rclpy.init(context=context)
    node = rclpy.create_node("policy", context=context)
    received: list[bytes] = []
    node.create_subscription(PolicyWeights, topics.POLICY_WEIGHTS, received.append, topics.STATE, raw=True)
    executor = SingleThreadedExecutor(context=context)
    executor.add_node(node)
    while not received:  # the test's own limit ends a wait in vain
        executor.spin_once(timeout_sec=1.0)
    executor.shutdown()
    node.destroy_node()
    rclpy.shutdown(context=context)
    return received[0]
