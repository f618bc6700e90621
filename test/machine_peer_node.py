"""One machine of two, of test_another_machine: `machine_peer_node.py robot|learner TRANSITIONS MEGABYTES`.

The robot sends transitions and waits for weights; the learner waits for all of them, then publishes weights.
Each says on standard output what it got, and goes when its standard input is closed.
"""

import array
import hashlib
import json
import random
import sys

import rclpy
from rclpy.node import Node
from sensor_msgs.msg import CompressedImage

from soft_flow_contract import topics
from soft_flow_msgs.msg import PolicyWeights, Transition
from soft_flow_policy.message_conversion import from_weights_message, to_weights_message
from soft_flow_policy.weights import WeightsRecord

IMAGE_BYTES = 3000  # of each of three pictures


def spin_until(node: Node, condition: list) -> None:
    """Spin until the list is no longer empty; whoever started this process ends a wait in vain."""
    while not condition:
        rclpy.spin_once(node, timeout_sec=0.5)


def make_transition(step: int, last: bool) -> Transition:
    """A step of the size of a real one."""
    message = Transition(episode_id="across", step=step, is_first=step == 0, is_last=last)
    message.observation.images = [
        CompressedImage(format="jpeg", data=array.array("B", random.Random(step).randbytes(IMAGE_BYTES)))
        for _ in range(3)
    ]
    return message


def be_robot(node: Node, count: int) -> dict[str, object]:
    """Send the transitions once the learner is there; wait for its weights."""
    publisher = node.create_publisher(Transition, topics.TRANSITIONS, topics.TRANSITION_STREAM)
    weights: list[PolicyWeights] = []
    node.create_subscription(PolicyWeights, topics.POLICY_WEIGHTS, weights.append, topics.STATE)
    while not publisher.get_subscription_count():
        rclpy.spin_once(node, timeout_sec=0.1)
    for step in range(count):
        publisher.publish(make_transition(step, step == count - 1))
    spin_until(node, weights)
    record = from_weights_message(weights[0])
    return {"said": record.sha256, "got": hashlib.sha256(record.data).hexdigest(), "bytes": len(record.data)}


def be_learner(node: Node, count: int, megabytes: int) -> dict[str, object]:
    """Take in the whole episode, then publish weights."""
    publisher = node.create_publisher(PolicyWeights, topics.POLICY_WEIGHTS, topics.STATE)
    steps: list[int] = []
    ended: list[bool] = []

    def take(message: Transition) -> None:
        steps.append(message.step)
        if message.is_last:
            ended.append(True)

    node.create_subscription(Transition, topics.TRANSITIONS, take, topics.TRANSITION_STREAM)
    spin_until(node, ended)
    data = random.Random(0).randbytes(megabytes * 1_000_000)
    digest = hashlib.sha256(data).hexdigest()
    publisher.publish(to_weights_message(WeightsRecord("run", 0, 1, "0" * 64, digest, data)))
    return {"whole": steps == list(range(count)), "steps": len(steps)}


def main() -> None:
    """Play the role, tell, wait to be dismissed."""
    role, count, megabytes = sys.argv[1], int(sys.argv[2]), int(sys.argv[3])
    rclpy.init()
    node = rclpy.create_node(role)
    told = be_robot(node, count) if role == "robot" else be_learner(node, count, megabytes)
    print(json.dumps(told), flush=True)
    sys.stdin.read()
    node.destroy_node()
    rclpy.shutdown()


if __name__ == "__main__":
    main()
