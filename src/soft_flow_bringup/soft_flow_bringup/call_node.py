"""Asks a running graph for one service or action and prints the answer: `call_node NAME VALUE...`."""

import os
import sys
from collections.abc import Callable, Sequence
from typing import Any

import rclpy
from rclpy.action import ActionClient
from rclpy.node import Node
from rclpy.signals import SignalHandlerOptions
from std_srvs.srv import SetBool, Trigger

from soft_flow_contract import topics
from soft_flow_msgs.action import CalibrateHand, GoToStart
from soft_flow_msgs.srv import EndEpisode, LabelEpisode, StartEpisode

_PATIENCE = 5.0  # s for somebody to offer it; DDS announces itself anew every 3
_SETTLING = 0.1  # s in which the other side finds us as well: an answer to one whom it does not know is lost
_ANSWER, _ACCEPTANCE = 60.0, 5.0  # s that a service may take, and a goal until it is accepted
_UNTIL_CANCELLED = 10.0  # s
Values = Sequence[str]
Make = Callable[[Values], Any]  # raises ValueError for values that make no request


def _no_values(make: Callable[[], Any]) -> Make:
    def request(values: Values) -> Any:
        if values:
            raise ValueError("it takes no values")
        return make()

    return request


def _torque(values: Values) -> SetBool.Request:
    if len(values) != 1 or values[0] not in ("on", "off"):
        raise ValueError("expected on or off")
    return SetBool.Request(data=values[0] == "on")


def _start(values: Values) -> StartEpisode.Request:
    if len(values) > 1:
        raise ValueError("expected a seed, or nothing")
    return StartEpisode.Request(seed=int(values[0]) if values else -1)


def _end(values: Values) -> EndEpisode.Request:
    if len(values) != 1:
        raise ValueError("expected success, failure or discard")
    return EndEpisode.Request(outcome=values[0])


def _label(values: Values) -> LabelEpisode.Request:
    if not 1 <= len(values) <= 2:
        raise ValueError(
            "expected success, failure or discard, and if it is not the last one an episode's id"
        )
    return LabelEpisode.Request(outcome=values[0], episode_id=values[1] if len(values) == 2 else "")


def _calibrate(values: Values) -> CalibrateHand.Goal:
    if list(values) not in ([], ["force"]):
        raise ValueError("expected force, or nothing")
    return CalibrateHand.Goal(force=bool(values))


_trigger = _no_values(Trigger.Request)
SERVICES: dict[str, tuple[type, Make]] = {
    topics.EMERGENCY_STOP: (Trigger, _trigger),
    topics.EMERGENCY_RESET: (Trigger, _trigger),
    topics.ARM_RECOVER: (Trigger, _trigger),
    topics.HAND_RECOVER: (Trigger, _trigger),
    topics.HAND_TORQUE: (SetBool, _torque),
    topics.HAND_NEUTRAL: (Trigger, _trigger),
    topics.HAND_REBOOT: (Trigger, _trigger),
    topics.EPISODE_START: (StartEpisode, _start),
    topics.EPISODE_END: (EndEpisode, _end),
    topics.EPISODE_LABEL: (LabelEpisode, _label),
}
ACTIONS: dict[str, tuple[type, Make]] = {
    topics.HAND_CALIBRATE: (CalibrateHand, _calibrate),
    topics.GO_TO_START: (GoToStart, _no_values(GoToStart.Goal)),
}


def _nobody(name: str) -> tuple[bool, str]:
    domain = os.environ.get("ROS_DOMAIN_ID", "0")
    return False, (
        f"nobody offers {name} in ROS domain {domain}; is the graph running, with the same ROS_DOMAIN_ID?"
    )


def _no_answer(name: str, seconds: float) -> tuple[bool, str]:
    return False, f"{name}: no answer within {seconds:.0f} s; it may be done all the same: look at the graph"


def _fields(message: Any) -> str:
    """A message on a line."""
    values = {name: getattr(message, name) for name in message.get_fields_and_field_types()}
    return ", ".join(
        f"{name} {value:.3f}" if isinstance(value, float) else f"{name} {value}"
        for name, value in values.items()
        if value != ""
    )


def ask(node: Node, name: str, values: Values, patience: float = _PATIENCE) -> tuple[bool, str]:
    """Ask for a service or an action, which somebody offers within `patience` s; whether yes, and the text.

    Raises:
        ValueError: the values make no request.
        KeyboardInterrupt: a service was not waited for.
    """
    return (call_service if name in SERVICES else send_goal)(node, name, values, patience)


def call_service(node: Node, name: str, values: Values, patience: float) -> tuple[bool, str]:
    """Call it; whether the answer was yes, and its text."""
    kind, make = SERVICES[name]
    request = make(values)
    client = node.create_client(kind, name)
    if not client.wait_for_service(patience):
        return _nobody(name)
    rclpy.spin_once(node, timeout_sec=_SETTLING)
    future = client.call_async(request)
    rclpy.spin_until_future_complete(node, future, timeout_sec=_ANSWER)
    if not future.done():
        return _no_answer(name, _ANSWER)
    response = future.result()
    episode = getattr(response, "episode_id", "")
    return bool(response.success), response.message or (f"episode {episode}" if episode else "done")


def send_goal(node: Node, name: str, values: Values, patience: float) -> tuple[bool, str]:
    """Send it, print its feedback, wait; whether it succeeded, and its text. Ctrl-C cancels it."""
    kind, make = ACTIONS[name]
    goal = make(values)
    client = ActionClient(node, kind, name)
    if not client.wait_for_server(patience):
        return _nobody(name)
    rclpy.spin_once(node, timeout_sec=_SETTLING)
    sent = client.send_goal_async(goal, feedback_callback=lambda message: _show(_fields(message.feedback)))
    rclpy.spin_until_future_complete(node, sent, timeout_sec=_ACCEPTANCE)
    if not sent.done():
        return _no_answer(name, _ACCEPTANCE)
    handle = sent.result()
    if not handle.accepted:
        return False, "refused: it is being done already"
    result = handle.get_result_async()
    try:
        rclpy.spin_until_future_complete(node, result)
    except KeyboardInterrupt:
        _show("cancelling ...")
        handle.cancel_goal_async()
        rclpy.spin_until_future_complete(node, result, timeout_sec=_UNTIL_CANCELLED)
        if not result.done():
            return False, "it was asked to end, and has not"
    answer = result.result().result
    return bool(answer.success), answer.message


def _show(text: str) -> None:
    """Feedback: over itself on a terminal."""
    if sys.stderr.isatty():
        print(f"\r\x1b[2K{text}", end="", file=sys.stderr, flush=True)
    else:
        print(text, file=sys.stderr, flush=True)


def main(arguments: Sequence[str] | None = None) -> int:
    """Ask; returns the exit status: 0 yes, 1 no or nobody, 2 wrong usage, 130 interrupted."""
    name, *values = sys.argv[1:] if arguments is None else arguments
    rclpy.init(args=[], signal_handler_options=SignalHandlerOptions.NO)
    node = Node("soft_flow_call")
    try:
        success, text = ask(node, name, values)
    except ValueError as error:
        print(f"soft-flow call {name}: {error}", file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        return 130
    finally:
        node.destroy_node()
        rclpy.try_shutdown()
    if sys.stderr.isatty():
        _show("")
    print(text or ("done" if success else "no"), file=sys.stdout if success else sys.stderr)
    return 0 if success else 1


if __name__ == "__main__":
    sys.exit(main())
