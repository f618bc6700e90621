"""Parameters, readiness and diagnostics of a node."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass

import pytest
import rclpy
from diagnostic_msgs.msg import DiagnosticArray, DiagnosticStatus
from domain_coordinator import domain_id
from rclpy.context import Context
from rclpy.exceptions import (
    InvalidParameterTypeException,
    InvalidParameterValueException,
    ParameterNotDeclaredException,
)
from rclpy.executors import SingleThreadedExecutor
from rclpy.node import Node
from rclpy.parameter import Parameter
from rclpy.qos import DurabilityPolicy, ReliabilityPolicy
from std_msgs.msg import String
from std_srvs.srv import Trigger

from soft_flow_contract import topics
from soft_flow_contract.graph_node import (
    STEADY,
    Diagnostics,
    Readiness,
    declare_parameters,
    diagnostic_status,
    parameter,
)


@dataclass(frozen=True)
class Parameters:
    rate: float = parameter(20.0, "control rate (Hz)", 1.0, 100.0)
    count: int = parameter(3, "how many", 1, 9)
    title: str = parameter("x", "what it is called")
    gain: float = parameter(1.0, "may change while it runs", 0.0, 2.0, read_only=False)


@pytest.fixture
def context() -> Iterator[Context]:
    with domain_id() as domain:
        context = Context()
        rclpy.init(context=context, domain_id=domain)
        yield context
        rclpy.try_shutdown(context=context)


@pytest.fixture
def make_node(context: Context) -> Callable[..., Node]:
    def make(node_name: str = "node", **values: object) -> Node:
        overrides = [Parameter(key, value=value) for key, value in values.items()]
        return Node(node_name, context=context, parameter_overrides=overrides)

    return make


def spin_until(context: Context, nodes: list[Node], happened: Callable[[], bool]) -> None:
    executor = SingleThreadedExecutor(context=context)
    for node in nodes:
        executor.add_node(node)
    end = STEADY.now().nanoseconds + 20 * 10**9
    while not happened():
        executor.spin_once(timeout_sec=0.2)
        assert STEADY.now().nanoseconds < end, "it never happened"
    executor.shutdown()


def test_parameters_have_their_defaults_descriptions_and_ranges(make_node: Callable[..., Node]) -> None:
    node = make_node()
    assert declare_parameters(node, Parameters) == Parameters(20.0, 3, "x", 1.0)
    rate, count = node.describe_parameter("rate"), node.describe_parameter("count")
    assert rate.description == "control rate (Hz)" and rate.read_only
    assert (rate.floating_point_range[0].from_value, rate.floating_point_range[0].to_value) == (1.0, 100.0)
    assert (count.integer_range[0].from_value, count.integer_range[0].to_value) == (1, 9)


def test_overrides_are_taken(make_node: Callable[..., Node]) -> None:
    node = make_node(rate=50.0, title="y")
    assert declare_parameters(node, Parameters) == Parameters(50.0, 3, "y", 1.0)


@pytest.mark.parametrize(("name", "value"), [("rate", 0.5), ("rate", 101.0), ("count", 0), ("count", 10)])
def test_a_parameter_out_of_its_range_is_refused(
    make_node: Callable[..., Node], name: str, value: object
) -> None:
    with pytest.raises(InvalidParameterValueException, match=name):
        declare_parameters(make_node(**{name: value}), Parameters)


@pytest.mark.parametrize(("name", "value"), [("rate", "fast"), ("count", 2.5), ("title", 7)])
def test_a_parameter_of_another_type_is_refused(
    make_node: Callable[..., Node], name: str, value: object
) -> None:
    with pytest.raises(InvalidParameterTypeException, match=name):
        declare_parameters(make_node(**{name: value}), Parameters)


def test_read_only_parameters_cannot_change_and_others_can_within_their_range(
    make_node: Callable[..., Node],
) -> None:
    node = make_node()
    declare_parameters(node, Parameters)
    assert not node.set_parameters([Parameter("rate", value=30.0)])[0].successful
    assert node.set_parameters([Parameter("gain", value=1.5)])[0].successful
    assert not node.set_parameters([Parameter("gain", value=2.5)])[0].successful
    with pytest.raises(ParameterNotDeclaredException):
        node.get_parameter("unknown")


def test_a_node_is_ready_once_every_endpoint_has_its_other_side(
    context: Context, make_node: Callable[..., Node]
) -> None:
    node, peer = make_node("node"), make_node("peer")
    publisher = node.create_publisher(String, "out", topics.COMMAND)
    subscription = node.create_subscription(String, "in", lambda message: None, topics.COMMAND)
    readiness = Readiness(node, [publisher], [subscription])
    client = peer.create_client(Trigger, "node/ready")
    spin_until(context, [node, peer], client.service_is_ready)
    future = client.call_async(Trigger.Request())
    spin_until(context, [node, peer], future.done)
    answer = future.result()
    assert not answer.success and answer.message == "waits for the other side of /out, /in"
    peer.create_subscription(String, "out", lambda message: None, topics.COMMAND)
    spin_until(context, [node, peer], lambda: readiness.missing() == ["/in"])
    peer.create_publisher(String, "in", topics.COMMAND)
    spin_until(context, [node, peer], lambda: not readiness.missing())
    future = client.call_async(Trigger.Request())
    spin_until(context, [node, peer], future.done)
    assert future.result().success


def test_diagnostics_carry_the_nodes_name_level_and_values(
    context: Context, make_node: Callable[..., Node]
) -> None:
    node = make_node()
    received: list[DiagnosticArray] = []
    node.create_subscription(DiagnosticArray, topics.DIAGNOSTICS, received.append, 10)
    values = {"count": 3, "reason": "x"}
    diagnostics = Diagnostics(node, lambda: diagnostic_status(node, DiagnosticStatus.WARN, "careful", values))
    spin_until(context, [node], lambda: bool(received) or diagnostics.publish())
    status = received[0].status[0]
    assert (status.name, status.level, status.message) == ("/node", DiagnosticStatus.WARN, "careful")
    assert {value.key: value.value for value in status.values} == {"count": "3", "reason": "x"}


def test_quality_of_service_is_what_each_kind_of_topic_needs() -> None:
    for profile in (topics.COMMAND, topics.OBSERVATIONS, topics.RECORDED, topics.TRANSITION_STREAM):
        assert profile.reliability == ReliabilityPolicy.RELIABLE
        assert profile.durability == DurabilityPolicy.VOLATILE
    assert topics.COMMAND.depth == topics.STATE.depth == 1
    assert topics.STATE.durability == DurabilityPolicy.TRANSIENT_LOCAL
    assert topics.sensor(lockstep=True).reliability == ReliabilityPolicy.RELIABLE
    assert topics.sensor(lockstep=False).reliability == ReliabilityPolicy.BEST_EFFORT
    for profile in (topics.COMMAND, topics.STATE, topics.sensor(True)):
        assert profile.deadline.nanoseconds in (0, 9223372036854775807), "nobody may ask for a deadline"


def test_a_recorder_that_was_busy_for_a_whole_episode_has_lost_nothing(
    context: Context, make_node: Callable[..., Node]
) -> None:
    sender, recorder, heard = make_node("sender"), make_node("recorder"), []
    recorder.create_subscription(
        String, "recorded", lambda message: heard.append(message.data), topics.RECORDED
    )
    publisher = sender.create_publisher(String, "recorded", topics.RECORDED)
    spin_until(context, [sender, recorder], lambda: publisher.get_subscription_count() == 1)
    sent = [str(tick) for tick in range(240)]
    for text in sent:
        publisher.publish(String(data=text))
    spin_until(context, [recorder], lambda: len(heard) == len(sent))
    assert heard == sent
