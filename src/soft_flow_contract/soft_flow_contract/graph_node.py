"""What all nodes share: declared parameters, the readiness service, diagnostics, and a clean start and stop.

A node declares its parameters as a frozen dataclass whose fields are made by `parameter`:

    @dataclass(frozen=True)
    class Parameters:
        rate: float = parameter(20.0, "control rate (Hz)", low=1.0, high=100.0)

    parameters = declare_parameters(node, Parameters)
"""

import dataclasses
import signal
import sys
from collections.abc import Callable, Iterable
from typing import Any, TypeVar

import rclpy
from diagnostic_msgs.msg import DiagnosticArray, DiagnosticStatus, KeyValue
from rcl_interfaces.msg import FloatingPointRange, IntegerRange, ParameterDescriptor
from rclpy.clock import Clock, ClockType
from rclpy.event_handler import EventHandler
from rclpy.executors import ExternalShutdownException, SingleThreadedExecutor
from rclpy.node import Node
from rclpy.publisher import Publisher
from rclpy.subscription import Subscription
from std_srvs.srv import Trigger

from soft_flow_contract import topics
from soft_flow_contract.errors import ContractError

STEADY = Clock(clock_type=ClockType.STEADY_TIME)
P = TypeVar("P")


def parameter(
    default: Any,  # noqa: ANN401 - ROS parameters are of several types
    description: str,
    low: float | None = None,
    high: float | None = None,
    read_only: bool = True,
) -> Any:  # noqa: ANN401 - a dataclass field
    """A dataclass field that `declare_parameters` turns into a ROS parameter."""
    metadata = {"description": description, "low": low, "high": high, "read_only": read_only}
    return dataclasses.field(default=default, metadata=metadata)


def _descriptor(field: "dataclasses.Field[Any]") -> ParameterDescriptor:
    descriptor = ParameterDescriptor(description=field.metadata["description"])
    descriptor.read_only = field.metadata["read_only"]
    low, high = field.metadata["low"], field.metadata["high"]
    if low is not None and high is not None:
        if isinstance(field.default, int):
            descriptor.integer_range = [IntegerRange(from_value=int(low), to_value=int(high), step=0)]
        else:
            descriptor.floating_point_range = [
                FloatingPointRange(from_value=float(low), to_value=float(high), step=0.0)
            ]
    return descriptor


def declare_parameters(node: Node, kind: type[P]) -> P:
    """Declare a dataclass's fields as parameters; return it with the values that the node was started with.

    Raises:
        rclpy.exceptions.InvalidParameterValueException: a value is out of its range.
        rclpy.exceptions.InvalidParameterTypeException: a value has another type.
    """
    fields = dataclasses.fields(kind)  # type: ignore[arg-type]
    return kind(
        **{
            field.name: node.declare_parameter(field.name, field.default, _descriptor(field)).value
            for field in fields
        }
    )


class Readiness:
    """Offers `~/ready`: success once every endpoint has its counterpart, otherwise the names that wait."""

    def __init__(
        self,
        node: Node,
        publishers: Iterable[Publisher],
        subscriptions: Iterable[Subscription],
        problem: Callable[[], str] = str,
    ) -> None:
        """Watch these endpoints of `node`; while `problem` says something, it is not ready either."""
        self._publishers, self._subscriptions = list(publishers), list(subscriptions)
        self._problem = problem
        self._service = node.create_service(Trigger, "~/ready", self._answer)

    def missing(self) -> list[str]:
        """Topics whose other side is not matched yet."""
        return [
            *(p.topic_name for p in self._publishers if p.get_subscription_count() == 0),
            *(s.topic_name for s in self._subscriptions if s.get_publisher_count() == 0),
        ]

    def _answer(self, request: Trigger.Request, response: Trigger.Response) -> Trigger.Response:
        missing, problem = self.missing(), self._problem()
        response.success = not missing and not problem
        response.message = f"waits for the other side of {', '.join(missing)}" if missing else "ready"
        if problem:
            response.message = problem
        return response


class Diagnostics:
    """Publishes one status a second (steady clock) on /diagnostics, and at once when the level changes."""

    def __init__(self, node: Node, status: Callable[[], DiagnosticStatus], period: float = 1.0) -> None:
        """Call `status` for the content; a test calls it without spinning."""
        self._node, self._status = node, status
        self._publisher = node.create_publisher(DiagnosticArray, topics.DIAGNOSTICS, 10)
        self._timer = node.create_timer(period, self.publish, clock=STEADY)

    def publish(self) -> None:
        """Publish the status now."""
        message = DiagnosticArray(status=[self._status()])
        message.header.stamp = self._node.get_clock().now().to_msg()
        self._publisher.publish(message)


def diagnostic_status(
    node: Node,
    level: bytes,
    message: str,
    values: dict[str, Any],
) -> DiagnosticStatus:
    """A status of `node`; level is DiagnosticStatus.OK, WARN, ERROR or STALE."""
    pairs = [KeyValue(key=key, value=str(value)) for key, value in values.items()]
    return DiagnosticStatus(
        level=level, name=node.get_fully_qualified_name(), message=message, hardware_id="", values=pairs
    )


class NodeExecutor(SingleThreadedExecutor):
    """Runs a node's callbacks in one thread, without waiting on the middleware's own events.

    rclpy builds its wait set anew for every wait. The events of the endpoints (a peer with an incompatible
    quality of service, ...) are half of it, and a fifth of a node's processor time. What they would tell,
    `Readiness` says.
    """

    def can_execute(self, entity: Any) -> bool:
        """Whether to wait on this entity."""
        return not isinstance(entity, EventHandler) and super().can_execute(entity)


def run_node(make_node: Callable[[], Node], exit_status: Callable[[Node], int] = lambda node: 0) -> None:
    """Initialize rclpy, spin the node in a single-threaded executor until shutdown, exit with its status.

    A ContractError while the node is made (a broken configuration) is printed as one line, exit status 2.
    SystemExit raised by a callback ends the spin and gives the status.
    """
    rclpy.init()
    signal.signal(signal.SIGTERM, lambda *_: rclpy.try_shutdown())
    try:
        node = make_node()
    except ContractError as error:
        print(f"error: {error}", file=sys.stderr)
        rclpy.try_shutdown()
        sys.exit(2)
    executor = NodeExecutor()
    executor.add_node(node)
    status = 0
    try:
        executor.spin()
    except (KeyboardInterrupt, ExternalShutdownException):
        pass
    except SystemExit as stop:
        status = int(stop.code or 0)
    except RuntimeError:  # RCLError is one; so is what a message that is gone raises when it is taken
        if rclpy.ok():
            raise
        # Told to end while it waited: what it waited for is gone already.
    finally:
        status = status or exit_status(node)
        executor.shutdown()
        node.destroy_node()
        rclpy.try_shutdown()
    sys.exit(status)
