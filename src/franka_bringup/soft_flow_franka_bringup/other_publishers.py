"""Whether more than one node commands the arm."""

from typing import Any


def other_publishers(node: Any, subscription: Any) -> str:  # noqa: ANN401 - rclpy carries no types
    """Who publishes what a subscription of a node hears, if it is more than one; empty otherwise."""
    if subscription.get_publisher_count() <= 1:
        return ""
    infos = node.get_publishers_info_by_topic(subscription.topic_name)
    names = sorted(f"{info.node_namespace.rstrip('/')}/{info.node_name}" for info in infos)
    twins = " (one that died is counted for some 20 s)" if len(set(names)) < len(names) else ""
    return (
        f"{len(names)} publishers on {subscription.topic_name}: {', '.join(names)}; leave one of them{twins}"
    )
